"""What a head is, and the form that ASPP, KSAC and their baseline share."""

from collections.abc import Sequence

from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.networks.heads.decoder import Decoder

HeadOutput = Tensor | tuple[Tensor, dict[str, Tensor]]


class Head(nn.Module):
    """Feature maps → logits [B, K, h, w] at the head's own stride.

    A head is built as `Head(channels, reductions, num_classes, **options)`, the first two from the encoder.
    One with auxiliary losses gives `(logits, {name: auxiliary logits})` back, in training mode only.
    """

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits of the encoder's feature maps (finest first)."""
        raise NotImplementedError


class PyramidHead(Head):
    """Context module on the last feature map, an optional DeepLabV3+ decoder, dropout, classifier.

    Subclasses pass the context module, which maps [B, C, h, w] to [B, width, h, w].
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        context: nn.Module,
        *,
        width: int,
        decoder: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.context = context
        self.decoder = Decoder(channels, reductions, width) if decoder else None
        # The papers do not mention dropout; DeepLabV3+'s published code drops a tenth before the classifier.
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(width, num_classes, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Logits at the encoder's output stride, or at stride 4 with the decoder."""
        x = self.context(features[-1])
        if self.decoder is not None:
            x = self.decoder(x, features)
        logits: Tensor = self.classifier(x)
        return logits


def check_rates(rates: Sequence[int]) -> tuple[int, ...]:
    """The atrous rates as a tuple.

    Raises:
        ConfigError: there is none, or one is not a whole number from 1 up.
    """
    good = not isinstance(rates, str | int | float) and len(rates) > 0
    if not good or any(isinstance(r, bool) or not isinstance(r, int) or r < 1 for r in rates):
        raise ConfigError(
            f"head.rates={rates}: expected a list of whole numbers from 1 up, such as [6,12,18]"
        )
    return tuple(rates)


def rates_at(rates: Sequence[int], output_stride: int) -> tuple[int, ...]:
    """Rates for a map of this output stride: as given, doubled at 8 (DeepLabV3, §3.3; KSAC follows it)."""
    return tuple(2 * rate if output_stride == 8 else rate for rate in check_rates(rates))
