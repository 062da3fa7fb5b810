"""What a head is, and the form that ASPP, KSAC and their baseline share."""

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor, nn

from segsweep.networks.heads.auxiliary import Auxiliary, AuxiliaryOptions
from segsweep.networks.heads.decoder import Decoder
from segsweep.networks.heads.features import stages
from segsweep.networks.heads.options import pixel_classifier
from segsweep.rules import RATES, SOME_RATES

HeadOutput = Tensor | tuple[Tensor, dict[str, Tensor]]


class Head(nn.Module):
    """Feature maps → logits [B, K, h, w] at the head's own stride.

    A head is built as `Head(channels, reductions, num_classes, **options)`, the first two from the encoder.
    One with auxiliary losses calls `add_auxiliary` at the end of its `__init__` and gives back what
    `output` makes of its logits: `(logits, {name: auxiliary logits})`, in training mode only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary: Auxiliary | None = None

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits of the encoder's feature maps (finest first)."""
        raise NotImplementedError

    def add_auxiliary(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        own_channels: Sequence[int] = (),
        **options: Unpack[AuxiliaryOptions],
    ) -> None:
        """Put auxiliary losses on the encoder's stages (taps 1…) and the head's own maps (the taps after).

        To be called last, so that a head's other weights are drawn alike with and without them.

        Raises:
            ConfigError: options that do not fit.
        """
        self.tapped = stages(reductions)
        auxiliary = Auxiliary([*(channels[i] for i in self.tapped), *own_channels], num_classes, **options)
        self.auxiliary = auxiliary if auxiliary.taps else None

    def output(self, logits: Tensor, features: Sequence[Tensor], *own: Tensor) -> HeadOutput:
        """What `forward` gives back; `own` are the maps that `own_channels` announced."""
        if self.auxiliary is None or not self.training:
            return logits
        return logits, self.auxiliary([*(features[i] for i in self.tapped), *own])


class PyramidHead(Head):
    """Context module on the last feature map, an optional DeepLabV3+ decoder, dropout, classifier.

    Subclasses pass the context module, which maps [B, C, h, w] to [B, width, h, w]. `separable` is the
    decoder's.
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
        separable: bool = False,
        **auxiliary: Unpack[AuxiliaryOptions],
    ) -> None:
        super().__init__()
        self.context = context
        self.decoder = Decoder(channels, reductions, width, separable) if decoder else None
        # The papers do not mention dropout; DeepLabV3+'s published code drops a tenth before the classifier.
        self.classifier = pixel_classifier(width, num_classes, dropout)
        self.add_auxiliary(channels, reductions, num_classes, **auxiliary)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at the encoder's output stride, or at stride 4 with the decoder."""
        x = self.context(features[-1])
        if self.decoder is not None:
            x = self.decoder(x, features)
        return self.output(self.classifier(x), features)


def check_rates(rates: Sequence[int], option: str = "rates", least: int = 1) -> tuple[int, ...]:
    """The atrous rates as a tuple. One that is larger than the map is no mistake: of its kernel only the
    centre falls on the map, so that the branch is a 1×1 convolution there (DeepLabV3, §3.3).

    Raises:
        ConfigError: there are fewer than `least`, 0 or 1, or one is not a whole number from 1 up.
    """
    return tuple((SOME_RATES if least else RATES).check(f"head.{option}", rates))


def rates_at(rates: Sequence[int], output_stride: int, least: int = 1) -> tuple[int, ...]:
    """Rates for a map of this output stride: as given, doubled at 8 (DeepLabV3, §3.3; KSAC follows it)."""
    return tuple(2 * rate if output_stride == 8 else rate for rate in check_rates(rates, least=least))
