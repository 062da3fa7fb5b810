"""Networks small enough to be counted by hand."""

import torch
from torch import nn

from segsweep.networks import EncoderHead, Segmenter
from segsweep.networks.heads.base import Head


class Quarter(nn.Module):
    """One map: a 3×3 convolution of stride 4, from 3 to 8 channels, without bias."""

    mean = std = (0.5, 0.5, 0.5)
    channels, reductions, multiple = (8,), (4,), 1

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False)

    def forward(self, x):
        return [self.conv(x)]


class Pointwise(Head):
    """A 1×1 convolution to 5 classes, and on request an auxiliary branch of width 8."""

    def __init__(self, auxiliary):
        super().__init__()
        self.classifier = nn.Conv2d(8, 5, 1)
        if auxiliary:
            self.add_auxiliary(Quarter.channels, Quarter.reductions, 5, aux=[1])

    def forward(self, features):
        return self.classifier(features[-1])


class Given(nn.Module):
    """A head between maps of given shapes and its logits, whatever the image."""

    def __init__(self, head, *shapes):
        super().__init__()
        self.head, self.shapes = head, shapes

    def forward(self, image):
        return self.head([torch.empty(shape, device=image.device) for shape in self.shapes])


def small(auxiliary=False, device="meta") -> Segmenter:
    """The smallest network that is one."""
    with torch.device(device):
        return EncoderHead(Quarter(), Pointwise(auxiliary))
