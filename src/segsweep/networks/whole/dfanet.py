"""DFANet (Li, Xiong, Fan and Sun, CVPR 2019, arXiv:1904.02216)."""

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn, conv_bn_relu, resize
from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.rules import VARIANTS

WIDTHS = {"a": (48, 96, 192), "b": (32, 64, 128)}
"""Channels of the stages enc2, enc3 and enc4 of XceptionA and XceptionB."""
REPEATS = (4, 6, 4)
CATEGORIES = 1000
"""ImageNet's, of the fully connected layer."""


class DfaNet(WholeNetwork):
    """Three light Xceptions in a row: each reads the result and all stages of the one before.

    The result of one, at 1/16, is upsampled to 1/4, from where the next one goes on to 1/32, and the third to
    1/64. Blocks are Xception's. The decoder is 32 channels wide, as in public readings of the paper, and its
    fusion is a 3×3 convolution, with which A, A' and B take the operations that are printed. A' is A, on
    images of half the size.

    Logits are at 1/4. Taps of auxiliary losses: the first backbone's stages at 1/4, 1/8 and 1/16, then the
    results of the second and the third, at 1/32 and 1/64.

    Args:
        num_classes: K.
        variant: a, of XceptionA, or b, of XceptionB.
    """

    stride = 64

    def __init__(self, num_classes: int, variant: str = "a") -> None:
        super().__init__(num_classes)
        fine, middle, coarse = widths = WIDTHS[VARIANTS.check("variant", variant)]
        self.own_channels = (*widths, coarse, coarse)
        later = (coarse + fine, fine + middle, middle + coarse)
        self.stem = conv_bn_relu(3, 8, 3, stride=2)
        self.backbones = nn.ModuleList(Xception(into, widths) for into in ((8, fine, middle), later, later))
        self.decoder = Decoder(fine, coarse, num_classes)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H/4, W/4]."""
        x = self.stem(x)
        stages: list[list[Tensor]] = []
        results: list[Tensor] = []
        for backbone in self.backbones:
            own, x = backbone(x, stages[-1] if stages else ())
            stages.append(own)
            results.append(x)
        logits: Tensor = self.decoder([own[0] for own in stages], results)
        return (logits, (*stages[0], *results[1:])) if self.training else logits


class Xception(nn.Module):
    """The stages enc2, enc3 and enc4, and the fully connected attention behind them.

    Args:
        into: channels that the stages read, those of the backbone before among them.
        widths: channels that they give.
    """

    def __init__(self, into: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(Block(before, width, 2), *(Block(width, width) for _ in range(number - 1)))
            for before, width, number in zip(into, widths, REPEATS, strict=True)
        )
        self.categories = nn.Linear(widths[-1], CATEGORIES)
        # The paper names no BatchNorm, which would see one pooled value an image, and no ReLU: without the
        # former it would be shut for a channel in all images at once, and never learn.
        self.weigh = nn.Conv2d(CATEGORIES, widths[-1], 1)

    def forward(self, x: Tensor, earlier: Sequence[Tensor] = ()) -> tuple[list[Tensor], Tensor]:
        """Return the stages' maps, at 1/2, 1/4 and 1/8 of the input, and the last of them weighted.

        With the stages of the backbone before, x is its result, and the input is its first stage.
        """
        own: list[Tensor] = []
        for stage, before in zip_longest(self.stages, earlier):
            x = stage(x if before is None else torch.cat([resize(x, before.shape[-2:]), before], dim=1))
            own.append(x)
        pooled = F.relu(x).mean(dim=(2, 3))
        weights: Tensor = self.weigh(self.categories(pooled)[:, :, None, None])
        return own, x * weights


class Block(nn.Module):
    """Xception's: ReLUs before three separable 3×3 convolutions, and a shortcut that nothing bounds.

    The first two have a quarter of the channels. The branch starts at zero (Goyal et al., arXiv:1706.02677,
    §5.1): there are 42 blocks in a row, without the ImageNet weights that the paper starts from, and a branch
    of convolutions that BatchNorm follows multiplies gradients.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        inner = width // 4
        last = _separable(inner, width)
        nn.init.zeros_(last[-1].get_parameter("weight"))
        self.branch = nn.Sequential(_separable(channels, inner, stride), _separable(inner, inner), last)
        self.shortcut = conv_bn(channels, width, stride=stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H, W], halved by one that strides."""
        added: Tensor = self.branch(x) + self.shortcut(x)
        return added


def _separable(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """ReLU, a depthwise 3×3 convolution, a 1×1 with nothing between them (Xception, Fig. 10), BatchNorm."""
    depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    return nn.Sequential(nn.ReLU(), depthwise, *conv_bn(channels, width))


class Decoder(nn.Module):
    """The backbones' first stages, summed and fused, then their results added."""

    def __init__(self, fine: int, coarse: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.fine = nn.ModuleList(conv_bn_relu(fine, width) for _ in range(3))
        self.fuse = conv_bn_relu(width, width, 3)
        self.coarse = nn.ModuleList(conv_bn_relu(coarse, width) for _ in range(3))
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, fine: Sequence[Tensor], coarse: Sequence[Tensor]) -> Tensor:
        """First stages at 1/4, 1/8 and 1/16, results at 1/16, 1/32 and 1/64 → logits at 1/4."""
        size = fine[0].shape[-2:]
        low = [resize(conv(x), size) for conv, x in zip(self.fine, fine, strict=True)]
        high = [resize(conv(x), size) for conv, x in zip(self.coarse, coarse, strict=True)]
        logits: Tensor = self.classifier(sum(high, start=self.fuse(sum(low[1:], start=low[0]))))
        return logits
