"""Xception39, the small encoder of BiSeNet's faster variant (Yu et al., arXiv:1808.00897, §4.1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn_relu

EXPANSION = 4
"""A block's output has so many times the channels of its convolutions."""


class Xception39(nn.Module):
    """A convolution and max pooling to 1/4, then 4, 8 and 4 residual blocks of separable convolutions.

    `forward` gives the maps at 1/8, 1/16 and 1/32, of 64, 128 and 256 channels. There are no ImageNet
    weights of it here. The paper counts 1.2 M and 185.5 M for images of 360×640: its 306,264 parameters are
    1.17 MiB, and it takes 185.9 M multiply-accumulates.
    """

    channels = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 8, 3, stride=2), nn.MaxPool2d(3, 2, 1))
        before = (8, *self.channels)
        self.stages = nn.ModuleList(
            nn.Sequential(Block(a, b, stride=2), *(Block(b, b) for _ in range(number - 1)))
            for a, b, number in zip(before, self.channels, (4, 8, 4), strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised image [B, 3, H, W] → maps at 1/8, 1/16 and 1/32."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Block(nn.Module):
    """Three separable convolutions around a shortcut, which is one itself in a block that strides."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        inner = width // EXPANSION
        last = _separable(inner, width)
        self.branch = nn.Sequential(
            _separable(channels, inner, stride), nn.ReLU(), _separable(inner, inner), nn.ReLU(), last
        )
        self.shortcut = nn.Identity() if stride == 1 else _separable(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H, W], halved by one that strides."""
        return F.relu(self.branch(x) + self.shortcut(x))


def _separable(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3×3 convolution and a 1×1, with a BatchNorm each and no ReLU between them."""
    depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    pointwise = nn.Conv2d(channels, width, 1, bias=False)
    return nn.Sequential(depthwise, nn.BatchNorm2d(channels), pointwise, nn.BatchNorm2d(width))
