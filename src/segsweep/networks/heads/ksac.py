"""Kernel-sharing atrous convolution (KSAC, §3.2, Fig. 4, Algorithm 1): one kernel for all rates."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.networks.blocks import ImagePooling, conv_bn_relu
from segsweep.networks.heads.base import PyramidHead, check_width, rates_at
from segsweep.networks.shared_kernel import SharedAtrousConv
from segsweep.rules import FUSIONS


class SharedPyramid(nn.Module):
    """1×1 branch, the shared 3×3 kernel at every rate, image pooling; concatenated and projected.

    With `fuse="sum"` the rates' maps are added first (Algorithm 1); with "concat" each is concatenated
    (the other reading of Fig. 4).
    """

    def __init__(
        self, channels: int, width: int, rates: Sequence[int], fuse: str, impl: str = "auto"
    ) -> None:
        super().__init__()
        self.pointwise = conv_bn_relu(channels, width)
        self.shared = SharedAtrousConv(channels, width, rates, fuse, impl)
        self.pooling = ImagePooling(channels, width)
        self.project = conv_bn_relu((2 + (1 if fuse == "sum" else len(rates))) * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, width, h, w]."""
        maps = [self.pointwise(x), *self.shared(x), self.pooling(x)]
        projected: Tensor = self.project(torch.cat(maps, dim=1))
        return projected


class Ksac(PyramidHead):
    """KSAC with `rates` of any length: the convolution parameters do not depend on them.

    `impl` says how the shared kernel is computed (`SharedAtrousConv`); the results differ by rounding.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        rates: Sequence[int] = (6, 12, 18),
        fuse: str = "sum",
        width: int = 256,
        decoder: bool = False,
        dropout: float = 0.1,
        impl: str = "auto",
    ) -> None:
        FUSIONS.check("fuse", fuse)
        check_width(width)
        context = SharedPyramid(channels[-1], width, rates_at(rates, reductions[-1]), fuse, impl)
        super().__init__(
            channels, reductions, num_classes, context,
            width=width, decoder=decoder, dropout=dropout,
        )  # fmt: skip
