"""FRRN (Pohlen, Hermans, Mathias and Leibe, CVPR 2017, arXiv:1611.08323)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn, conv_bn_relu, resize
from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.rules import VARIANTS

FULL, RESIDUAL = 48, 32
"""Channels at full resolution: of the residual units, and of the residual stream."""
Plan = Sequence[tuple[int, int]]
DOWN: dict[str, Plan] = {
    "a": ((3, 96), (4, 192), (2, 384), (2, 384)),
    "b": ((3, 96), (4, 192), (2, 384), (2, 384), (2, 384)),
}
UP: dict[str, Plan] = {
    "a": ((2, 192), (2, 192), (2, 96)),
    "b": ((2, 192), (2, 192), (2, 192), (2, 96)),
}
"""Full-resolution residual units and their channels, by stage: each stage halves or doubles the map."""


class Frrn(WholeNetwork):
    """Two streams: one at full resolution, to which each unit adds, and one that is pooled and unpooled.

    A ends at 1/16, B at 1/32. The streams are split behind three residual units, and joined before three
    others, the first of which narrows both together, as in the authors' code. Logits are at the image's size.
    Taps of auxiliary losses: the pooled stream's stages on the way down at 1/4, 1/8 and 1/16, with B at 1/32
    too.

    Args:
        num_classes: K.
        variant: "a" or "b".
    """

    def __init__(self, num_classes: int, variant: str = "a") -> None:
        super().__init__(num_classes)
        down, up = (part[VARIANTS.check("variant", variant)] for part in (DOWN, UP))
        self.stride = self.multiple = 2 ** len(down)
        self.own_channels = tuple(width for _, width in down[1:])
        self.stem = nn.Sequential(conv_bn_relu(3, FULL, 5), *(ResidualUnit(FULL) for _ in range(3)))
        self.split = conv_bn(FULL, RESIDUAL)
        self.down = _stages(FULL, down, [2 ** (1 + i) for i in range(len(down))])
        self.up = _stages(down[-1][1], up, [2 ** (len(up) - i) for i in range(len(up))])
        joined = up[-1][1] + RESIDUAL
        self.join = nn.Sequential(*(ResidualUnit(channels) for channels in (joined, FULL, FULL)))
        self.classifier = nn.Conv2d(FULL, num_classes, 1)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        x = self.stem(x)
        residual, pooled = self.split(x), []
        for stage in self.down:
            x, residual = stage(F.max_pool2d(x, 2), residual)
            pooled.append(x)
        for stage in self.up:
            x, residual = stage(_doubled(x), residual)
        logits: Tensor = self.classifier(self.join(torch.cat([_doubled(x), residual], dim=1)))
        return (logits, pooled[1:]) if self.training else logits


def _stages(channels: int, plan: Plan, scales: Sequence[int]) -> nn.ModuleList:
    into = (channels, *(width for _, width in plan))
    return nn.ModuleList(
        Stage(before, width, number, scale)
        for before, (number, width), scale in zip(into, plan, scales, strict=False)
    )


def _doubled(x: Tensor) -> Tensor:
    return resize(x, (2 * x.shape[-2], 2 * x.shape[-1]))


class ResidualUnit(nn.Module):
    """Two 3×3 convolutions to `FULL` channels and the input, narrowed if need be; nothing bounds the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(conv_bn_relu(channels, FULL, 3), conv_bn(FULL, FULL, 3))
        self.shortcut = nn.Identity() if channels == FULL else nn.Conv2d(channels, FULL, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, FULL, H, W]."""
        added: Tensor = self.branch(x) + self.shortcut(x)
        return added


class Stage(nn.Module):
    """Units at one size of the pooled stream."""

    def __init__(self, channels: int, width: int, number: int, scale: int) -> None:
        super().__init__()
        into = (channels, *[width] * (number - 1))
        self.units = nn.ModuleList(FullResolutionUnit(before, width, scale) for before in into)

    def forward(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled stream [B, channels, h, w] and residual stream → both, the former of `width` channels."""
        for unit in self.units:
            x, residual = unit(x, residual)
        return x, residual


class FullResolutionUnit(nn.Module):
    """Two 3×3 convolutions see both streams; what they give is the one, and is added to the other.

    Args:
        channels: of the pooled stream.
        width: of its next map.
        scale: how often the residual stream's side is the pooled one's.
    """

    def __init__(self, channels: int, width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.convs = nn.Sequential(conv_bn_relu(channels + RESIDUAL, width, 3), conv_bn_relu(width, width, 3))
        self.back = nn.Conv2d(width, RESIDUAL, 1)

    def forward(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, h, w] and [B, 32, H, W] → [B, width, h, w] and [B, 32, H, W]."""
        x = self.convs(torch.cat([x, F.max_pool2d(residual, self.scale)], dim=1))
        repeated = F.interpolate(self.back(x), scale_factor=float(self.scale), mode="nearest")
        return x, residual + repeated
