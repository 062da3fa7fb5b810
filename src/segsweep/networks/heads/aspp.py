"""Atrous spatial pyramid pooling (DeepLabV3, §3.3): a kernel of its own for each rate."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.networks.blocks import ImagePooling, conv_bn_relu
from segsweep.networks.heads.base import PyramidHead, check_width, rates_at


class AtrousPyramid(nn.Module):
    """1×1 branch, one atrous 3×3 branch for each rate, image pooling; concatenated and projected."""

    def __init__(self, channels: int, width: int, rates: Sequence[int], separable: bool) -> None:
        super().__init__()
        self.pointwise = conv_bn_relu(channels, width)
        self.atrous = nn.ModuleList(conv_bn_relu(channels, width, 3, rate, separable) for rate in rates)
        self.pooling = ImagePooling(channels, width)
        self.project = conv_bn_relu((len(rates) + 2) * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, width, h, w]."""
        branches = [self.pointwise(x), *(branch(x) for branch in self.atrous), self.pooling(x)]
        projected: Tensor = self.project(torch.cat(branches, dim=1))
        return projected


class Aspp(PyramidHead):
    """ASPP, with `rates` of any length; with its decoder, DeepLabV3+.

    Without rates, the 1×1 branch, image pooling and the projection are left: DeepLabV3's MobileNetV2
    without ASPP, the row of KSAC's Table 1 that has neither pyramid.

    `separable` makes all 3×3 convolutions, the decoder's too, depthwise separable (DeepLabV3+, §3.1): the
    "DL" rows of Dual ASPP. The KSAC paper's counts come out without.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
        width: int = 256,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        check_width(width)
        context = AtrousPyramid(channels[-1], width, rates_at(rates, reductions[-1], least=0), separable)
        super().__init__(
            channels, reductions, num_classes, context,
            width=width, decoder=decoder, dropout=dropout, separable=separable,
        )  # fmt: skip
