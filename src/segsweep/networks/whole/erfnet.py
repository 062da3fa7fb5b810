"""ERFNet (Romera, Álvarez, Bergasa and Arroyo, T-ITS 2018), from the paper's Table I."""

from torch import Tensor, nn

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.light_blocks import Factorised, MixedDown, doubling
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.rules import DROPOUT

RATES = (2, 4, 8, 16)
"""Atrous rates of the second stage's blocks, in turn."""


class ErfNet(WholeNetwork):
    """An encoder of factorised residual blocks to 1/8, and a decoder of transposed convolutions.

    Logits are at the image's size. Taps of auxiliary losses: the encoder's stages at 1/4 and 1/8.

    Args:
        num_classes: K.
        dropout: in the blocks of the second stage; a tenth of it in the first (§IV).
    """

    stride = multiple = 8
    own_channels = (64, 128)

    def __init__(self, num_classes: int, dropout: float = 0.3) -> None:
        super().__init__(num_classes)
        DROPOUT.check("dropout", dropout)
        near = [Factorised(64, dropout=dropout / 10) for _ in range(5)]
        wide = [Factorised(128, rate=rate, dropout=dropout) for rate in 2 * RATES]
        self.fine = nn.Sequential(MixedDown(3, 16), MixedDown(16, 64), *near)
        self.coarse = nn.Sequential(MixedDown(64, 128), *wide)
        self.decoder = nn.Sequential(
            *(doubling(128, 64), Factorised(64), Factorised(64)),
            *(doubling(64, 16), Factorised(16), Factorised(16)),
        )
        self.classifier = nn.ConvTranspose2d(16, num_classes, 2, 2)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        fine = self.fine(x)
        coarse = self.coarse(fine)
        logits: Tensor = self.classifier(self.decoder(coarse))
        return (logits, (fine, coarse)) if self.training else logits
