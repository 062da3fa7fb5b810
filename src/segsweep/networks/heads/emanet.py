"""EMANet (Li et al., ICCV 2019, §3): a map described anew by a few bases that EM finds.

Shape letters: `B` images, `C` channels, `K` bases, `N` = h·w pixels of the map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn_relu
from segsweep.networks.heads.base import PyramidHead, check_width
from segsweep.rules import COUNT, DECAY


class ExpectationMaximization(nn.Module):
    """Expectation-maximization attention unit (§3.2, §3.3): 1×1, EM, 1×1 with BatchNorm, added to the input.

    In each of T iterations pixels take part in bases, Z = softmax over k of xᵀμ_k, and bases become the means
    of their pixels, μ_k = Σ_n z_nk·x_n / Σ_n z_nk, scaled to length 1. The map is then μ·Zᵀ.

    The first bases are no weights but a moving average of those found in training, over the images of this
    process, as BatchNorm's statistics are.
    """

    bases: Tensor

    def __init__(self, channels: int, bases: int, iterations: int, momentum: float) -> None:
        super().__init__()
        self.iterations, self.momentum = iterations, momentum
        self.register_buffer("bases", F.normalize(torch.randn(channels, bases), dim=0))  # C × K
        self.into = nn.Conv2d(channels, channels, 1)
        self.out = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → the same shape."""
        pixels = self.into(x).flatten(2)  # B × C × N
        bases = self.bases.to(pixels.dtype, copy=True).expand(x.shape[0], -1, -1)  # these will be overwritten
        for _ in range(self.iterations):
            parts = (pixels.transpose(1, 2) @ bases).softmax(dim=2)  # B × N × K
            shares = parts / (parts.sum(dim=1, keepdim=True) + 1e-6)
            bases = F.normalize(pixels @ shares, dim=1)
        if self.training:
            self._remember(bases)
        described = F.relu(bases @ parts.transpose(1, 2)).view_as(x)
        return F.relu(x + self.out(described))

    @torch.no_grad()
    def _remember(self, bases: Tensor) -> None:
        self.bases.lerp_(bases.mean(dim=0).to(self.bases.dtype), 1 - self.momentum)


class EmaNet(PyramidHead):
    """3×3 to `inner` channels, the attention unit, 3×3 to `width`, classifier.

    Args:
        inner: channels of the bases.
        bases: their number K.
        iterations: T.
        momentum: of the bases' moving average, in [0, 1).
        decoder: DeepLabV3+'s decoder, which EMANet has not.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        inner: int = 512,
        bases: int = 64,
        iterations: int = 3,
        momentum: float = 0.9,
        width: int = 256,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        check_width(inner, "inner")
        COUNT.check("bases", bases)
        COUNT.check("iterations", iterations)
        DECAY.check("momentum", momentum)
        context = nn.Sequential(
            conv_bn_relu(channels[-1], inner, 3),
            ExpectationMaximization(inner, bases, iterations, momentum),
            conv_bn_relu(inner, check_width(width), 3),
        )
        super().__init__(
            channels, reductions, num_classes, context,
            width=width, decoder=decoder, dropout=dropout,
        )  # fmt: skip
