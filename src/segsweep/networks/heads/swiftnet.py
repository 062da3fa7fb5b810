"""SwiftNet, single scale (Oršić et al., CVPR 2019, §3): a light ladder from a pyramid pooled map to 1/4."""

from collections.abc import Sequence

from torch import Tensor, nn

from segsweep.networks.blocks import conv_bn_relu, resize
from segsweep.networks.heads.atonet import SpatialPyramidPooling
from segsweep.networks.heads.base import Head, HeadOutput, check_width, pixel_classifier, stages_from_4
from segsweep.rules import BINS


class SwiftNet(Head):
    """Pyramid pooling on the coarsest stage; down to 1/4: upsampled, the stage's 1×1 map added, 3×3.

    With ResNet-18 and 19 classes these are the published 11.8 M parameters. A departure: the stages' maps are
    taken behind their last ReLU, those of the paper in front of it.

    Args:
        bins: rows of the pooling grids, as in `heads.atonet.SpatialPyramidPooling`; their maps have `width`
            channels together.
        width: channels of all maps of the head.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        bins: Sequence[int] = (8, 4, 2),
        width: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stages = stages_from_4(reductions, "swiftnet")
        check_width(width)
        level_width = max(1, width // max(1, len(BINS.check("bins", bins))))
        *finer, coarsest = (channels[i] for i in self.stages)
        self.spp = SpatialPyramidPooling(coarsest, width, bins, inner=width, level_width=level_width)
        self.laterals = nn.ModuleList(conv_bn_relu(c, width) for c in finer)
        self.blends = nn.ModuleList(conv_bn_relu(width, width, 3) for _ in finer)
        self.classifier = pixel_classifier(width, num_classes, dropout)

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
