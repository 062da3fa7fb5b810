"""ESNet (Wang, Zhou, Xiong, Wu and Jin, arXiv:1906.09826)."""

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.light_blocks import Factorised, MixedDown, doubling, factorised, relu
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.rules import DROPOUT

EPS = 1e-3
RATES = (2, 5, 9)
"""Atrous rates of a parallel block."""


class EsNet(WholeNetwork):
    """A symmetric encoder and decoder of factorised blocks, parallel ones at 1/8 (Table I).

    Logits are at the image's size. Taps of auxiliary losses: the encoder's stages at 1/4 and 1/8.

    Args:
        num_classes: K.
        dropout: in the parallel blocks; a tenth of it in the encoder's others.
    """

    stride = multiple = 8
    own_channels = (64, 128)

    def __init__(self, num_classes: int, dropout: float = 0.3) -> None:
        super().__init__(num_classes)
        DROPOUT.check("dropout", dropout)
        self.fine = nn.Sequential(
            *(MixedDown(3, 16, eps=EPS), *_blocks(3, 16, 3, dropout / 10)),
            *(MixedDown(16, 64, eps=EPS), *_blocks(2, 64, 5, dropout / 10)),
        )
        self.coarse = nn.Sequential(MixedDown(64, 128, eps=EPS), *(Parallel(128, dropout) for _ in range(3)))
        self.decoder = nn.Sequential(
            *(doubling(128, 64, EPS), *_blocks(2, 64, 5)), *(doubling(64, 16, EPS), *_blocks(2, 16, 3))
        )
        self.classifier = nn.ConvTranspose2d(16, num_classes, 2, 2)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        fine = self.fine(x)
        coarse = self.coarse(fine)
        logits: Tensor = self.classifier(self.decoder(coarse))
        return (logits, (fine, coarse)) if self.training else logits


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
