"""What ERFNet and ESNet have in common: two stages, a decoder back to half the size, a last doubling."""

from torch import Tensor, nn

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.whole_network import WholeNetwork


class FineAndCoarse(WholeNetwork):
    """Subclasses pass `fine` (to 64 channels at 1/4), `coarse` (128 at 1/8) and `decoder` (16 at 1/2).

    Logits are at the image's size. Taps of auxiliary losses: the stages at 1/4 and 1/8.
    """

    stride = multiple = 8
    own_channels = (64, 128)

    def __init__(self, num_classes: int, fine: nn.Module, coarse: nn.Module, decoder: nn.Module) -> None:
        super().__init__(num_classes)
        self.fine, self.coarse, self.decoder = fine, coarse, decoder
        self.classifier = nn.ConvTranspose2d(16, num_classes, 2, 2)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        fine = self.fine(x)
        coarse = self.coarse(fine)
        logits: Tensor = self.classifier(self.decoder(coarse))
        return (logits, (fine, coarse)) if self.training else logits
