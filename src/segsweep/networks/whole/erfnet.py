"""ERFNet (Romera, Álvarez, Bergasa and Arroyo, T-ITS 2018), from the paper's Table I."""

from torch import nn

from segsweep.networks.whole.fine_and_coarse import FineAndCoarse
from segsweep.networks.whole.light_blocks import Factorised, MixedDown, doubling
from segsweep.rules import DROPOUT

RATES = (2, 4, 8, 16)
"""Atrous rates of the second stage's blocks, in turn."""


class ErfNet(FineAndCoarse):
    """An encoder of factorised residual blocks to 1/8, and a decoder of transposed convolutions.

    Args:
        num_classes: K.
        dropout: in the blocks of the second stage; a tenth of it in the first (§IV).
    """

    def __init__(self, num_classes: int, dropout: float = 0.3) -> None:
        DROPOUT.check("dropout", dropout)
        near = [Factorised(64, dropout=dropout / 10) for _ in range(5)]
        wide = [Factorised(128, rate=rate, dropout=dropout) for rate in 2 * RATES]
        fine = nn.Sequential(MixedDown(3, 16), MixedDown(16, 64), *near)
        coarse = nn.Sequential(MixedDown(64, 128), *wide)
        decoder = nn.Sequential(
            *(doubling(128, 64), Factorised(64), Factorised(64)),
            *(doubling(64, 16), Factorised(16), Factorised(16)),
        )
        super().__init__(num_classes, fine, coarse, decoder)
