"""The baseline without a pyramid."""

from collections.abc import Sequence

from segsweep.networks.blocks import conv_block
from segsweep.networks.heads.base import PyramidHead, check_width
from segsweep.rules import CONVOLUTIONS


class NoPyramid(PyramidHead):
    """A block of 3×3 convolutions and the classifier: the rows without a head in Dual ASPP's Table 2.

    The default is Dual ASPP's: the encoder followed directly by a 3×3 convolution block, that of its Fig. 3,
    two separable convolutions that keep the channels and a 1×1. That is the only reading with a published
    size that it meets: MobileNetV2, 19 classes, 1024×2048 gives 20.8 GMACs for the printed 20.9 (a single
    plain convolution to 256 gives 25.1, a single separable one 19.8). V3's rows (11.8 and 3.2) cannot be met
    so: without their last expansion, the encoders alone need 13.4 and 3.9 at output stride 16.

    A single plain convolution as wide as the pyramids is `separable=False, depth=1, width=256`. The row
    without a pyramid in KSAC's Table 1 is none of these: see `Aspp` without rates.

    Args:
        width: channels of the block; the encoder's last where it is None.
        depth: number of convolutions, at least 1.
        separable: depthwise separable ones, the decoder's too.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int | None = None,
        depth: int = 2,
        separable: bool = True,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        CONVOLUTIONS.check("depth", depth)
        width = channels[-1] if width is None else check_width(width)
        context = conv_block(channels[-1], width, depth, separable)
        super().__init__(
            channels, reductions, num_classes, context,
            width=width, decoder=decoder, dropout=dropout, separable=separable,
        )  # fmt: skip
