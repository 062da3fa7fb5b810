"""SegNet (Badrinarayanan, Kendall and Cipolla, arXiv:1511.00561)."""

from itertools import pairwise

from torch import Tensor, nn

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.unpooling import pool, unpool
from segsweep.networks.whole.whole_network import WholeNetwork

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions, by stage."""


class SegNet(WholeNetwork):
    """VGG16's 13 convolutions, and their mirror image, which unpools to where the maxima were (§3, Fig. 2).

    Every convolution but the classifier is 3×3 with bias, BatchNorm and ReLU. Logits are at the image's size.
    Taps of auxiliary losses: the encoder's stages at 1/4, 1/8, 1/16 and 1/32.
    """

    stride = multiple = 32
    own_channels = (128, 256, 512, 512)

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        into = (3, *(stage[-1] for stage in STAGES))
        self.down = nn.ModuleList(_convs(c, *stage) for c, stage in zip(into, STAGES, strict=False))
        # A stage on the way up ends with the channels that the next one unpools; the finest keeps its own,
        # and the classifier stands in place of its last convolution.
        self.up = nn.ModuleList(
            _convs(stage[0], *stage[:-1], *((c,) if c > 3 else ()))
            for c, stage in reversed(list(zip(into, STAGES, strict=False)))
        )
        self.classifier = nn.Conv2d(STAGES[0][0], num_classes, 3, padding=1)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        pooled, places = [], []
        for stage in self.down:
            x, place = pool(stage(x))
            pooled.append(x)
            places.append(place)
        for stage, place in zip(self.up, reversed(places), strict=True):
            x = stage(unpool(x, place))
        logits: Tensor = self.classifier(x)
        return (logits, pooled[1:]) if self.training else logits


def _convs(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
