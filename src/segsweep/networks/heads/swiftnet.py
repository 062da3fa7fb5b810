"""SwiftNet (Oršić et al., CVPR 2019, §3): a light ladder from the coarsest map to 1/4."""

from collections.abc import Sequence

from torch import Tensor, nn

from segsweep.errors import OptionError
from segsweep.networks.blocks import conv_bn_relu, resize
from segsweep.networks.heads.atonet import SpatialPyramidPooling
from segsweep.networks.heads.base import Head, HeadOutput, check_width, pixel_classifier, stages_from_4
from segsweep.rules import BINS


class SwiftNet(Head):
    """Pyramid pooling on the coarsest stage; down to 1/4: upsampled, the stage's 1×1 map added, 3×3.

    Single scale, with ResNet-18 and 19 classes, these are the published 11.8 M parameters. The paper's other
    form has no pooling but an encoder on an image pyramid (`backbone.pyramid`), of whose interleaved maps the
    stages here are. A departure: the stages' maps are taken behind their last ReLU, those of the paper in
    front of it.

    Args:
        bins: rows of the pooling grids, as in `heads.atonet.SpatialPyramidPooling`; their maps have the
            channels of the coarsest map of the head together. Empty: a 1×1 convolution instead of pooling.
        width: channels of all maps of the head.
        widths: channels of the coarsest stage's map and of what each 3×3 makes, down to 1/4, if they differ.

    Raises:
        ConfigError: the encoder has no feature at stride 4, or not as many stages as there are widths.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        bins: Sequence[int] = (8, 4, 2),
        width: int = 128,
        dropout: float = 0.0,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.stages = stages_from_4(reductions, "swiftnet")
        *finer, coarsest = (channels[i] for i in self.stages)
        same = [check_width(width)] * len(self.stages)
        widths = check_widths(same if widths is None else widths, len(self.stages))
        self.spp = _coarsest(coarsest, widths[0], bins)
        entering, leaving = widths[-2::-1], widths[:0:-1]  # of each blend, finest first, as the stages are
        self.laterals = nn.ModuleList(map(conv_bn_relu, finer, entering))
        self.blends = nn.ModuleList(conv_bn_relu(a, b, 3) for a, b in zip(entering, leaving, strict=True))
        self.classifier = pixel_classifier(widths[-1], num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        *finer, coarsest = (features[i] for i in self.stages)
        x = self.spp(coarsest)
        steps = zip(reversed(self.laterals), reversed(self.blends), reversed(finer), strict=True)
        for lateral, blend, fine in steps:
            own = lateral(fine)
            x = blend(own + resize(x, own.shape[-2:]))
        logits: Tensor = self.classifier(x)
        return logits


def _coarsest(channels: int, width: int, bins: Sequence[int]) -> nn.Module:
    if not BINS.check("bins", bins):
        return conv_bn_relu(channels, width)
    level_width = max(1, width // len(bins))
    return SpatialPyramidPooling(channels, width, bins, inner=width, level_width=level_width)


def check_widths(widths: Sequence[int], maps: int) -> list[int]:
    """Return the channels of each of several maps.

    Raises:
        ConfigError: not whole numbers from 1 up, or not one for each map.
    """
    if not (isinstance(widths, list | tuple) and len(widths) == maps):
        expected = f"a list of {maps} numbers of channels, one for each stage of this encoder"
        raise OptionError("widths", widths, expected)
    return [check_width(width, "widths") for width in widths]
