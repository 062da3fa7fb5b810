"""What a head is, the parts that heads have in common, and the form that ASPP, KSAC and their baseline share.

Options are checked where they become layers: torch's own errors name no option.
"""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.networks.blocks import conv_block, conv_bn_relu, resize
from segsweep.networks.heads.auxiliary import Auxiliary, AuxiliaryOptions
from segsweep.rules import CHANNELS, DROPOUT, RATES, SOME_RATES

HeadOutput = Tensor | tuple[Tensor, Sequence[Tensor]]


class Head(nn.Module):
    """Feature maps → logits [B, K, h, w] at the head's own stride.

    A head is built as `Head(channels, reductions, num_classes, **options)`, the first two from the encoder.
    Auxiliary losses need nothing of it: whoever builds a head adds them. A head with maps of its own that may
    carry one names their channels in `own_channels` and returns `(logits, maps)` in training mode.
    """

    own_channels: Sequence[int] = ()

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary: Auxiliary | None = None

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Return the logits of the encoder's feature maps (finest first)."""
        raise NotImplementedError

    def add_auxiliary(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        **options: Unpack[AuxiliaryOptions],
    ) -> None:
        """Put auxiliary losses on the encoder's stages (taps 1…) and the head's own maps (the taps after).

        Call it on the finished head, so that its other weights are drawn alike with and without them.

        Raises:
            ConfigError: options that do not fit.
        """
        self.tapped = stages(reductions)
        taps = [*(channels[i] for i in self.tapped), *self.own_channels]
        auxiliary = Auxiliary(taps, num_classes, **options)
        self.auxiliary = auxiliary if auxiliary.taps else None

    @property
    def auxiliary_weights(self) -> dict[str, float]:
        """Weight of each auxiliary loss, by the names that `auxiliary_logits` gives."""
        return {} if self.auxiliary is None else self.auxiliary.weights

    def auxiliary_logits(self, features: Sequence[Tensor], own: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the logits of the auxiliary branches by name; there are none outside training mode."""
        if self.auxiliary is None or not self.training:
            return {}
        logits: dict[str, Tensor] = self.auxiliary([*(features[i] for i in self.tapped), *own])
        return logits


class PyramidHead(Head):
    """Context module on the last feature map, an optional DeepLabV3+ decoder, dropout, classifier.

    Subclasses pass the context module, which maps [B, C, h, w] to [B, width, h, w]. `separable` is about the
    decoder.
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
    ) -> None:
        super().__init__()
        self.context = context
        self.decoder = Decoder(channels, reductions, width, separable) if decoder else None
        # The papers do not mention dropout; DeepLabV3+'s published code drops a tenth before the classifier.
        self.classifier = pixel_classifier(width, num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at the encoder's output stride, or at stride 4 with the decoder."""
        x = self.context(features[-1])
        if self.decoder is not None:
            x = self.decoder(x, features)
        logits: Tensor = self.classifier(x)
        return logits


class Decoder(nn.Module):
    """DeepLabV3+'s decoder, an option of the heads (the "Decoder" tick of KSAC's Table 1).

    The stride-4 feature at 48 channels, concatenated with the upsampled context, 3×3 conv-BN-ReLU: DeepLabV3+
    §3.1 and Tables 1, 2 (48 channels, [3×3, 256] twice). The KSAC paper's parameter counts (54.3 M and
    44.8 M) come out with plain convolutions, Dual ASPP's (41.05 M, 2.72 M) with separable ones.

    Args:
        width: channels of the context and of the result.
        depth: number of 3×3 convolutions.
        option: the option that asks for the decoder, for the error.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        width: int = 256,
        separable: bool = False,
        depth: int = 2,
        option: str = "decoder",
    ) -> None:
        super().__init__()
        remedy = f"use head.{option}=false or another backbone"
        self.level = level(reductions, 4, f"head.{option}=true", remedy)
        self.reduce = conv_bn_relu(channels[self.level], 48)
        self.refine = conv_block(width + 48, width, depth, separable)

    def forward(self, x: Tensor, features: list[Tensor]) -> Tensor:
        """Context [B, width, h, w] and the encoder's maps → [B, width, H / 4, W / 4]."""
        low = self.reduce(features[self.level])
        refined: Tensor = self.refine(torch.cat([resize(x, low.shape[-2:]), low], dim=1))
        return refined


def pixel_classifier(
    width: int, num_classes: int, dropout: float, drop_channels: bool = False
) -> nn.Sequential:
    """Dropout and a 1×1 convolution with bias: [B, width, h, w] → [B, K, h, w].

    With `drop_channels` whole channels are dropped instead of single values.

    Raises:
        ConfigError: a probability outside [0, 1).
    """
    drop = nn.Dropout2d if drop_channels else nn.Dropout
    return nn.Sequential(drop(DROPOUT.check("dropout", dropout)), nn.Conv2d(width, num_classes, 1))


def stages(reductions: Sequence[int]) -> list[int]:
    """Return the indices of the encoder's stages, finest first: its maps from 1/4 on, not a stem at 1/2."""
    return [index for index, reduction in enumerate(reductions) if reduction >= 4]


def stages_from_4(reductions: Sequence[int], head: str) -> list[int]:
    """Return the indices of the encoder's stages for a head whose finest map is at stride 4.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """
    level(reductions, 4, f"head={head}", "use another backbone")
    return stages(reductions)


def level(reductions: Sequence[int], stride: int, asker: str, remedy: str) -> int:
    """Return the index of the first map at `stride`: maps are found by their reductions, not by their place.

    Raises:
        ConfigError: the encoder has none; `asker` is the option that needs it.
    """
    if stride not in reductions:
        raise ConfigError(
            f"{asker} needs a feature at stride {stride}; this backbone has {list(reductions)}: {remedy}"
        )
    return list(reductions).index(stride)


def check_width(width: int, option: str = "width") -> int:
    """Return a number of channels.

    Raises:
        ConfigError: not a whole number from 1 up.
    """
    return CHANNELS.check(option, width)


def check_rates(rates: Sequence[int], option: str = "rates", least: int = 1) -> tuple[int, ...]:
    """Return the atrous rates as a tuple.

    A rate that is larger than the map is no mistake: only the centre of its kernel falls on the map, so that
    the branch is a 1×1 convolution there (DeepLabV3, §3.3).

    Raises:
        ConfigError: there are fewer than `least`, 0 or 1, or one is not a whole number from 1 up.
    """
    return tuple((SOME_RATES if least else RATES).check(option, rates))


def rates_at(rates: Sequence[int], output_stride: int, least: int = 1) -> tuple[int, ...]:
    """Return the atrous rates for a map of this output stride: doubled at 8 (DeepLabV3, §3.3, and KSAC)."""
    return tuple(2 * rate if output_stride == 8 else rate for rate in check_rates(rates, least=least))
