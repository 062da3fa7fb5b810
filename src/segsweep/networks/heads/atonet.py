"""ATONet's aggregation architecture (poster, Fig. 1 (d) and Fig. 2): all stages straight into one sum."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn, conv_bn_relu, pooled_conv, resize
from segsweep.networks.heads.base import Head, HeadOutput, check_width, pixel_classifier, stages_from_4
from segsweep.networks.separable_maps import grid_average
from segsweep.networks.traced_grid import pooled_and_resized
from segsweep.networks.tracing import is_exported
from segsweep.rules import BINS


class AtoNet(Head):
    """Each stage and the SPP: 3×3 conv-BN, upsampled to 1/4; their sum, ReLU, 3×3 conv-BN-ReLU, classifier.

    The text speaks of a 1×1 layer in the `up` modules; the published 13.3 M come out with a 3×3. Auxiliary
    losses may be on the stages (taps 1 to 4 with ResNet-18) and on the SPP (tap 5).

    Args:
        spp: rows of the SPP's grids, as many as you like; empty or None leaves the SPP out (Table 3).
        width: channels of every `up` module.
        released: what the authors' released code does and the poster leaves open: dropout of whole channels,
            and the SPP's grids upsampled with their corners aligned. None is False.

    Raises:
        ConfigError: the encoder has no feature at stride 4, or the bins are not whole numbers from 1 up.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        spp: Sequence[int] | None = (8, 4, 2),
        width: int = 128,
        dropout: float = 0.1,
        released: bool | None = None,
    ) -> None:
        super().__init__()
        self.stages = stages_from_4(reductions, "atonet")
        check_width(width)
        self.spp = SpatialPyramidPooling(channels[-1], width, spp, bool(released)) if spp else None
        self.own_channels = () if self.spp is None else (width,)
        up = [*(channels[i] for i in self.stages), *self.own_channels]
        self.up = nn.ModuleList(conv_bn(c, width, 3) for c in up)
        self.final = conv_bn_relu(width, width, 3)
        self.seg = classifier(width, num_classes, dropout, bool(released))

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        context = [] if self.spp is None else [self.spp(features[-1])]
        maps = [*(features[i] for i in self.stages), *context]
        size = maps[0].shape[-2:]
        summed = torch.stack([resize(up(x), size) for up, x in zip(self.up, maps, strict=True)]).sum(dim=0)
        logits: Tensor = self.seg(self.final(F.relu(summed)))
        return (logits, context) if self.training else logits


class SpatialPyramidPooling(nn.Module):
    """The spatial pyramid pooling of ATONet (Fig. 2) and SwiftNet, with grids in the map's own shape.

    1×1 C→inner; for each bin the map averaged over a grid, 1×1 → level_width, upsampled; concatenated; 1×1 →
    width. ATONet's inner and level_width are C and width. Bin
    b has b rows and round(b·w/h) columns, so that its cells are nearly square. A grid is never finer than the
    map: a bin with more rows or columns than the map takes the map's own. With `align_corners` the grids are
    upsampled such that the centres of their corner cells are those of the map's corner pixels.

    Raises:
        ConfigError: bins that are not whole numbers from 1 up.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        bins: Sequence[int],
        align_corners: bool = False,
        inner: int | None = None,
        level_width: int | None = None,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.bins = tuple(BINS.check("spp", bins))
        inner, level_width = inner or channels, level_width or width
        self.input = conv_bn_relu(channels, inner)
        self.levels = nn.ModuleList(pooled_conv(inner, level_width) for _ in self.bins)
        self.project = conv_bn_relu(inner + len(self.bins) * level_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, width, h, w]."""
        x = self.input(x)
        pooled = [
            context(x, rows, conv, self.align_corners)
            for rows, conv in zip(self.bins, self.levels, strict=True)
        ]
        projected: Tensor = self.project(torch.cat([x, *pooled], dim=1))
        return projected


def context(x: Tensor, rows: int, conv: nn.Module, align_corners: bool = False) -> Tensor:
    """[B, C, h, w], averaged over a bin's grid, convolved cell by cell, upsampled → [B, width, h, w]."""
    if is_exported():
        return pooled_and_resized(x, rows, conv, align_corners)
    size = x.shape[-2:]
    return resize(conv(grid_average(x, grid(rows, size))), size, align_corners)


def grid(rows: int, size: Sequence[int]) -> tuple[int, int]:
    """Return the grid (rows, columns) of one bin on a map of this size (height, width)."""
    height, width = int(size[0]), int(size[1])
    columns = max(1, round(rows * width / height))
    return min(rows, height), min(columns, width)


def classifier(width: int, num_classes: int, dropout: float, drop_channels: bool = False) -> nn.Sequential:
    """Return the `seg` module that the architectures of the poster's Table 3 share: 3×3, dropout, 1×1."""
    return nn.Sequential(
        conv_bn_relu(width, width, 3), *pixel_classifier(width, num_classes, dropout, drop_channels)
    )
