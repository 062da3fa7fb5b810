"""UPerNet (Xiao et al., ECCV 2018, §3.2): pyramid pooling on top of a feature pyramid."""

from collections.abc import Sequence

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from segsweep.networks.blocks import conv_bn_relu, resize
from segsweep.networks.heads.base import Head, HeadOutput, check_width, pixel_classifier, stages_from_4
from segsweep.networks.heads.psp import PyramidPooling


class UperNet(Head):
    """PSPNet's module on the coarsest stage; from there down to 1/4, each stage's 1×1 map plus the upsampled
    coarser sum; 3×3 on each sum; all levels upsampled to 1/4, concatenated, 3×3, classifier.

    This is the paper's network for semantic segmentation alone, without its object, part and texture tasks.

    Args:
        bins: rows and columns of the grids that are pooled over, as many as you like.
        width: channels of every level.
        norm: LayerNorm on each of the encoder's maps first, as with Swin and ConvNeXt, whose maps leave their
            stages without any normalisation.

    Raises:
        ConfigError: the encoder has no feature at stride 4.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        bins: Sequence[int] = (1, 2, 3, 6),
        width: int = 256,
        norm: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stages = stages_from_4(reductions, "upernet")
        check_width(width)
        *finer, coarsest = (channels[i] for i in self.stages)
        self.norms = nn.ModuleList(LayerNorm2d(c) if norm else nn.Identity() for c in (*finer, coarsest))
        self.pyramid = PyramidPooling(coarsest, width, width, bins)
        self.lateral = nn.ModuleList(conv_bn_relu(c, width) for c in finer)
        self.smooth = nn.ModuleList(conv_bn_relu(width, width, 3) for _ in finer)
        self.fuse = conv_bn_relu(len(self.stages) * width, width, 3)
        self.classifier = pixel_classifier(width, num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        *finer, coarsest = (norm(features[i]) for norm, i in zip(self.norms, self.stages, strict=True))
        levels = [self.pyramid(coarsest)]
        for lateral, fine in zip(reversed(self.lateral), reversed(finer), strict=True):
            own = lateral(fine)
            levels.insert(0, own + resize(levels[0], own.shape[-2:]))
        smoothed = [*(conv(x) for conv, x in zip(self.smooth, levels[:-1], strict=True)), levels[-1]]
        size = smoothed[0].shape[-2:]
        logits: Tensor = self.classifier(self.fuse(torch.cat([resize(x, size) for x in smoothed], dim=1)))
        return logits
