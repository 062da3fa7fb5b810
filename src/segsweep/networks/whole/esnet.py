"""ESNet (Wang, Zhou, Xiong, Wu and Jin, arXiv:1906.09826)."""

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.whole.fine_and_coarse import FineAndCoarse
from segsweep.networks.whole.light_blocks import Factorised, MixedDown, doubling, factorised, relu
from segsweep.rules import DROPOUT

EPS = 1e-3
RATES = (2, 5, 9)
"""Atrous rates of a parallel block."""


class EsNet(FineAndCoarse):
    """A symmetric encoder and decoder of factorised blocks, parallel ones at 1/8 (Table I).

    Args:
        num_classes: K.
        dropout: in the parallel blocks; a tenth of it in the encoder's others.
    """

    def __init__(self, num_classes: int, dropout: float = 0.3) -> None:
        DROPOUT.check("dropout", dropout)
        fine = nn.Sequential(
            *(MixedDown(3, 16, eps=EPS), *_blocks(3, 16, 3, dropout / 10)),
            *(MixedDown(16, 64, eps=EPS), *_blocks(2, 64, 5, dropout / 10)),
        )
        coarse = nn.Sequential(MixedDown(64, 128, eps=EPS), *(Parallel(128, dropout) for _ in range(3)))
        decoder = nn.Sequential(
            *(doubling(128, 64, EPS), *_blocks(2, 64, 5)), *(doubling(64, 16, EPS), *_blocks(2, 16, 3))
        )
        super().__init__(num_classes, fine, coarse, decoder)


def _blocks(number: int, channels: int, kernel: int, dropout: float = 0.0) -> list[Factorised]:
    return [Factorised(channels, kernel, 1, dropout, EPS) for _ in range(number)]


class Parallel(nn.Module):
    """A factorised convolution, then the sum of three at different atrous rates and the input (Fig. 3d)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(factorised(channels, eps=EPS), relu())
        self.branches = nn.ModuleList(
            nn.Sequential(factorised(channels, rate=rate, eps=EPS), nn.Dropout(dropout)) for rate in RATES
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        first = self.first(x)
        return F.relu(sum((branch(first) for branch in self.branches), start=x))
