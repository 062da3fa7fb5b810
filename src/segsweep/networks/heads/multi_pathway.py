"""The multi-pathway network that ATONet's Table 3 compares with (Fig. 1 (c): branches and their fusion)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.networks.blocks import TopDown, conv_bn_relu, resize
from segsweep.networks.heads.atonet import classifier
from segsweep.networks.heads.base import Head, HeadOutput, check_width, level, stages


class MultiPathway(Head):
    """A spatial path from the 1/2 map and a context path from the last two stages, fused at 1/4.

    The poster names this architecture and prints only its size. This one is ours, two paths and a fusion like
    BiSeNet's (which the poster cites), designed to that size with the same encoder and width: ResNet-18, 19
    classes, 1024×1024 gives 12.668 M parameters and 85.32 GMACs for the published 12.67 M and 87.42.

    Raises:
        ConfigError: the encoder has no feature at stride 2, or no stage behind it.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stem = level(reductions, 2, "head=multi_pathway", "use another backbone")
        self.last_two = stages(reductions)[-2:]
        if not self.last_two:
            raise ConfigError("head=multi_pathway needs a stage at stride 4 or more: use another backbone")
        self.spatial = spatial_path(channels[self.stem], check_width(width))
        self.context = TopDown([channels[i] for i in self.last_two], width)
        self.fuse = conv_bn_relu(2 * width, width, 3)
        self.seg = classifier(width, num_classes, dropout)

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at stride 4."""
        fine = self.spatial(features[self.stem])
        context = self.context([features[i] for i in self.last_two])
        fused = self.fuse(torch.cat([fine, resize(context, fine.shape[-2:])], dim=1))
        logits: Tensor = self.seg(fused)
        return logits


def spatial_path(channels: int, width: int) -> nn.Sequential:
    """Three 3×3 conv-BN-ReLU, the first striding: [B, channels, h, w] → [B, width, ⌈h/2⌉, ⌈w/2⌉]."""
    first = conv_bn_relu(channels, channels, 3, stride=2)
    return nn.Sequential(first, conv_bn_relu(channels, width, 3), conv_bn_relu(width, width, 3))
