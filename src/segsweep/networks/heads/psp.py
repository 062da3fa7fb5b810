"""PSPNet (Zhao et al., CVPR 2017, §3): pyramid pooling on the last map."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.networks.blocks import conv_bn_relu, pooled_conv, resize
from segsweep.networks.heads.base import PyramidHead, check_width
from segsweep.networks.separable_maps import grid_average
from segsweep.networks.traced_grid import pooled_and_resized_squarely
from segsweep.networks.tracing import is_exported
from segsweep.rules import BINS


class PyramidPooling(nn.Module):
    """The map averaged over a grid of b×b cells for each bin b, 1×1 to `level_width` channels, upsampled;
    concatenated with the map itself; 3×3 conv-BN-ReLU to `width`.

    A grid finer than the map repeats the map's values.

    Raises:
        ConfigError: bins that are not whole numbers from 1 up.
    """

    def __init__(self, channels: int, level_width: int, width: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = tuple(BINS.check("bins", bins))
        self.levels = nn.ModuleList(pooled_conv(channels, level_width) for _ in self.bins)
        self.project = conv_bn_relu(channels + len(self.bins) * level_width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, width, h, w]."""
        pooled = [context(x, bins, conv) for bins, conv in zip(self.bins, self.levels, strict=True)]
        projected: Tensor = self.project(torch.cat([x, *pooled], dim=1))
        return projected


def context(x: Tensor, bins: int, conv: nn.Module) -> Tensor:
    """[B, C, h, w], averaged over bins×bins cells, convolved cell by cell, upsampled → [B, width, h, w]."""
    if is_exported():
        return pooled_and_resized_squarely(x, bins, conv)
    return resize(conv(grid_average(x, (bins, bins))), x.shape[-2:])


class Psp(PyramidHead):
    """PSPNet's head: pyramid pooling whose N levels have 1/N of the map's channels each (§3.2), classifier.

    The paper leaves the last convolutions open; here as in its released code: a 3×3 to `width` and a 1×1,
    a tenth dropped between them.

    Args:
        bins: rows and columns of the grids, as many as you like; none leaves the 3×3 convolution alone.
        decoder: DeepLabV3+'s decoder, which PSPNet has not.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        bins: Sequence[int] = (1, 2, 3, 6),
        width: int = 512,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        check_width(width)
        level_width = max(1, channels[-1] // max(1, len(BINS.check("bins", bins))))
        context = PyramidPooling(channels[-1], level_width, width, bins)
        super().__init__(
            channels, reductions, num_classes, context,
            width=width, decoder=decoder, dropout=dropout,
        )  # fmt: skip
