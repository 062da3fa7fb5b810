"""Spatial pyramid pooling as ATONet uses it (Fig. 2; SwiftNet's, with grids in the map's own shape)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn_relu, pooled_conv, resize
from segsweep.rules import BINS


class SpatialPyramidPooling(nn.Module):
    """1×1 C→C; for each bin the map averaged over a grid, 1×1 → width, upsampled; concat; 1×1 → width.

    Bin b has b rows and round(b·w/h) columns, so that its cells are as good as square. A grid is never
    finer than the map: a bin of more rows or columns than the map has takes the map's own.

    Raises:
        ConfigError: bins that are not whole numbers from 1 up.
    """

    def __init__(self, channels: int, width: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = check_bins(bins)
        self.input = conv_bn_relu(channels, channels)
        self.levels = nn.ModuleList(pooled_conv(channels, width) for _ in self.bins)
        self.project = conv_bn_relu(channels + len(self.bins) * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, width, h, w]."""
        x = self.input(x)
        size = x.shape[-2:]
        pooled = [
            resize(conv(F.adaptive_avg_pool2d(x, grid(rows, size))), size)
            for rows, conv in zip(self.bins, self.levels, strict=True)
        ]
        projected: Tensor = self.project(torch.cat([x, *pooled], dim=1))
        return projected


def grid(rows: int, size: Sequence[int]) -> tuple[int, int]:
    """The grid of one bin on a map of this size (height, width), as (rows, columns)."""
    height, width = int(size[0]), int(size[1])
    columns = max(1, round(rows * width / height))
    return min(rows, height), min(columns, width)


def check_bins(bins: Sequence[int]) -> tuple[int, ...]:
    """The bins as a tuple.

    Raises:
        ConfigError: not a list, or one is not a whole number from 1 up.
    """
    return tuple(BINS.check("head.spp", bins))
