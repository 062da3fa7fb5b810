"""ATONet's aggregation architecture (poster, Fig. 1 (d) and Fig. 2): all stages straight into one sum."""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn, conv_bn_relu, resize
from segsweep.networks.heads.auxiliary import AuxiliaryOptions
from segsweep.networks.heads.base import Head, HeadOutput
from segsweep.networks.heads.features import level, stages
from segsweep.networks.heads.options import check_width, pixel_classifier
from segsweep.networks.heads.spp import SpatialPyramidPooling


class AtoNet(Head):
    """Each stage and the SPP: 3×3 conv-BN, upsampled to 1/4; their sum, ReLU, 3×3 conv-BN-ReLU, classifier.

    The text speaks of a 1×1 layer in the `up` modules; the published 13.3 M come out with a 3×3. Taps for
    auxiliary losses are the stages (1 to 4 with ResNet-18) and, after them, the SPP (5).

    Args:
        spp: rows of the SPP's grids, of any number; empty or None leaves the SPP out (Table 3).
        width: channels of every `up` module.

    Raises:
        ConfigError: the encoder has no feature at stride 4, or the bins are none.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        spp: Sequence[int] | None = (8, 4, 2),
        width: int = 128,
        dropout: float = 0.1,
        **auxiliary: Unpack[AuxiliaryOptions],
    ) -> None:
        super().__init__()
        level(reductions, 4, "head=atonet", "use another backbone")
        check_width(width)
        self.stages = stages(reductions)
        self.spp = SpatialPyramidPooling(channels[-1], width, spp) if spp else None
        own = [] if self.spp is None else [width]
        self.up = nn.ModuleList(conv_bn(c, width, 3) for c in [*(channels[i] for i in self.stages), *own])
        self.final = conv_bn_relu(width, width, 3)
        self.seg = classifier(width, num_classes, dropout)
        self.add_auxiliary(channels, reductions, num_classes, own, **auxiliary)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        context = [] if self.spp is None else [self.spp(features[-1])]
        maps = [*(features[i] for i in self.stages), *context]
        size = maps[0].shape[-2:]
        summed = torch.stack([resize(up(x), size) for up, x in zip(self.up, maps, strict=True)]).sum(dim=0)
        return self.output(self.seg(self.final(F.relu(summed))), features, *context)


def classifier(width: int, num_classes: int, dropout: float) -> nn.Sequential:
    """The poster's `seg` module, which its Table 3's three architectures share: 3×3, dropout, 1×1."""
    return nn.Sequential(conv_bn_relu(width, width, 3), *pixel_classifier(width, num_classes, dropout))
