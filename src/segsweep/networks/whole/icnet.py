"""ICNet (Zhao, Qi, Shen, Shi and Jia, ECCV 2018, arXiv:1704.08545), pruned to half the channels."""

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn, conv_bn_relu, halved, resize
from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.traced_grid import pooled_and_resized_squarely
from segsweep.networks.whole.whole_network import WholeNetwork

BINS = (1, 2, 3, 6)
"""Sides of the grids of the pyramid pooling, whose maps are added to the one that they are pooled from."""
WIDTH = 128
"""Channels of the maps of the cascade."""


class IcNet(WholeNetwork):
    """A cascade: a deep branch sees a quarter of the image, a middle one half of it, three convolutions all.

    Half and quarter share the first layers. What the coarser branch knows is fused into the finer one
    (Fig. 2). The layers are those of the authors' published network, a PSPNet on ResNet-50 of half the
    channels. Logits are at 1/4. Taps of auxiliary losses, those of the paper's label guidance: the fused map
    at 1/8 and the quarter's at 1/16, each as the next fusion sees it.
    """

    stride = 32
    own_channels = (WIDTH, 256)

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        widths = ((3, 32, 2), (32, 32, 1), (32, 64, 1))
        stem = (conv_bn_relu(a, b, 3, stride=s) for a, b, s in widths)
        stage2, stage3 = _stage(64, 128, 3), _stage(128, 256, 4, stride=2)
        self.shared = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), stage2, stage3[0])
        self.deep = nn.Sequential(stage3[1:], _stage(256, 512, 6, rate=2), _stage(512, 1024, 3, rate=4))
        self.narrow = conv_bn_relu(1024, 256)
        self.quarter = conv_bn_relu(3, 32, 3, stride=2).append(conv_bn_relu(32, 32, 3, stride=2))
        self.eighth = conv_bn_relu(32, 64, 3, stride=2)
        self.cascade = nn.ModuleList((Fusion(256, 256), Fusion(WIDTH, 64)))
        self.classifier = nn.Conv2d(WIDTH, num_classes, 1)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H/4, W/4]."""
        fine = self.quarter(x)
        middle = self.shared(halved(x))
        deep = self.deep(halved(middle))
        pooled = (pooled_and_resized_squarely(deep, bins, nn.Identity()) for bins in BINS)
        coarse = self.narrow(sum(pooled, deep))
        return self.fuse(coarse, middle, self.eighth(fine), (fine.shape[-2], fine.shape[-1]))

    def fuse(self, coarse: Tensor, middle: Tensor, fine: Tensor, size: tuple[int, int]) -> HeadOutput:
        """Maps at 1/32, 1/16 and 1/8 of 256, 256 and 64 channels → logits [B, K, *size]."""
        first, second = self.cascade
        coarse = resize(coarse, middle.shape[-2:])
        joint = resize(first(coarse, middle), fine.shape[-2:])
        logits = resize(self.classifier(second(joint, fine)), size)
        return (logits, (joint, coarse)) if self.training else logits


class Bottleneck(nn.Module):
    """ResNet's block of a 1×1, a 3×3 and a 1×1 convolution; the first of them strides, as in PSPNet's."""

    def __init__(self, channels: int, width: int, stride: int = 1, rate: int = 1) -> None:
        super().__init__()
        inner = width // 4
        self.branch = nn.Sequential(
            conv_bn_relu(channels, inner, stride=stride),
            conv_bn_relu(inner, inner, 3, rate),
            conv_bn(inner, width),
        )
        projection = conv_bn_relu(channels, width, stride=stride)[:2]  # without its ReLU
        self.shortcut = nn.Identity() if channels == width else projection

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H / stride, W / stride]."""
        return F.relu(self.branch(x) + self.shortcut(x))


class Fusion(nn.Module):
    """Fusion of the cascade: an atrous 3×3 on the upsampled coarse map, a 1×1 on the fine, added (Fig. 3)."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse = conv_bn_relu(coarse, WIDTH, 3, rate=2)[:2]
        self.fine = conv_bn(fine, WIDTH)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, coarse, H, W] and [B, fine, H, W] → [B, WIDTH, H, W]."""
        return F.relu(self.coarse(coarse) + self.fine(fine))


def _stage(channels: int, width: int, number: int, stride: int = 1, rate: int = 1) -> nn.Sequential:
    on = (Bottleneck(width, width, rate=rate) for _ in range(number - 1))
    return nn.Sequential(Bottleneck(channels, width, stride, rate), *on)
