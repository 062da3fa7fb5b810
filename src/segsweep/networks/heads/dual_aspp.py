"""Dual ASPP (§3.2, Fig. 2 and 3): one pyramid on the coarsest map, another on the 1/8 map."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segsweep.networks.blocks import conv_block, resize
from segsweep.networks.heads.aspp import AtrousPyramid
from segsweep.networks.heads.base import (
    Decoder,
    Head,
    HeadOutput,
    check_rates,
    check_width,
    level,
    pixel_classifier,
    rates_at,
)


class DualAspp(Head):
    """ASPP1 upsampled to 1/8, concatenated with ASPP2, two separable 3×3 convolutions, 1×1 to classes.

    The paper's encoders stride to 32; any other output stride works (at 8 both pyramids see the same size,
    and ASPP1's rates double as everywhere). ASPP2 reads the encoder's first map at 1/8.

    The paper does not draw the skip connection of its Table 4, which is DeepLabV3+'s. Here the block's result
    is upsampled to 1/4, concatenated with the 1/4 map at 48 channels, and fused by one more separable
    convolution: V3-Small then needs 8.5 GMACs for the printed 8.6.

    Args:
        rates, fine_rates: atrous rates of ASPP1 and ASPP2, of any length.
        width: channels of ASPP1.
        fine_width: channels of ASPP2; as many as classes where it is None, as in the paper.
        skip: the 1/4 skip connection.
        dropout: before the last 1×1; the paper does not mention any, the other heads drop a tenth.

    Raises:
        ConfigError: the encoder has no feature at stride 8, or with `skip` none at 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        rates: Sequence[int] = (6, 12, 18),
        fine_rates: Sequence[int] = (12, 24, 36),
        width: int = 128,
        fine_width: int | None = None,
        skip: bool = False,
        separable: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.fine_level = level(reductions, 8, "head=dual_aspp", "use another backbone")
        fine_width = num_classes if fine_width is None else check_width(fine_width, "fine_width")
        self.coarse = AtrousPyramid(
            channels[-1], check_width(width), rates_at(rates, reductions[-1]), separable
        )
        fine_rates = check_rates(fine_rates, "fine_rates")
        self.fine = AtrousPyramid(channels[self.fine_level], fine_width, fine_rates, separable)
        fused = width + fine_width
        self.block = conv_block(fused, fused, 2, separable)
        self.skip = Decoder(channels, reductions, fused, separable, depth=1, option="skip") if skip else None
        self.classifier = pixel_classifier(fused, num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 8, or at 4 with the skip."""
        fine = self.fine(features[self.fine_level])
        coarse = resize(self.coarse(features[-1]), fine.shape[-2:])
        x = self.block(torch.cat([coarse, fine], dim=1))
        if self.skip is not None:
            x = self.skip(x, features)
        logits: Tensor = self.classifier(x)
        return logits
