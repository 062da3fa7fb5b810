"""The baseline without a pyramid."""

from collections.abc import Sequence

from segsweep.networks.blocks import conv_bn_relu
from segsweep.networks.heads.base import PyramidHead


class NoPyramid(PyramidHead):
    """One 3×3 conv-BN-ReLU and the classifier: the "none" rows of KSAC Table 1 and Dual ASPP Table 2.

    KSAC does not say what stands in the pyramid's place; Dual ASPP does (one 3×3 convolution block) but
    not how wide it is. At the pyramids' width of 256, MobileNetV2 needs 25.1 GMACs for 1024×2048 and 19
    classes, where Dual ASPP prints 20.9.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int = 256,
        decoder: bool = False,
        dropout: float = 0.1,
    ) -> None:
        context = conv_bn_relu(channels[-1], width, 3)
        super().__init__(
            channels, reductions, num_classes, context, width=width, decoder=decoder, dropout=dropout
        )
