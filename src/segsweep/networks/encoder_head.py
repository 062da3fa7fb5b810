"""A network of two parts: an encoder that gives feature maps, and a head that makes logits of them."""

from torch import Tensor

from segsweep.networks.encoder import Encoder
from segsweep.networks.heads.auxiliary import Auxiliary
from segsweep.networks.heads.base import Head
from segsweep.networks.segmenter import Segmenter


class EncoderHead(Segmenter):
    """An encoder and a head, normalised as the encoder's weights want it."""

    encoder: Encoder

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__(encoder.mean, encoder.std)
        self.encoder, self.head = encoder, head
        self.stride, self.multiple = max(encoder.reductions), encoder.multiple

    def outputs(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Normalised image → logits at the head's own stride, auxiliary logits by name."""
        features: list[Tensor] = self.encoder(x)
        output = self.head(features)
        logits, own = output if isinstance(output, tuple) else (output, ())
        return logits, self.head.auxiliary_logits(features, own)

    @property
    def branches(self) -> Auxiliary | None:
        """The head's auxiliary branches."""
        return self.head.auxiliary

    @property
    def auxiliary_weights(self) -> dict[str, float]:
        """Weight of each auxiliary loss, those of the head's own included."""
        return self.head.auxiliary_weights

    def is_of_classes(self, name: str) -> bool:
        """Whether a tensor is the head's."""
        return name.startswith("head.")

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's maps of an image [B, 3, H, W] with values 0..255."""
        maps: list[Tensor] = self.encoder(self._padded(self.normalised(image)))
        return maps
