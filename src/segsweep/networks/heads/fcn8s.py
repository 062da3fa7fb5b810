"""FCN-8s (Long, Shelhamer and Darrell, CVPR 2015, §4.1–4.2): scores of three stages, added coarse to fine."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.networks.blocks import resize
from segsweep.networks.heads.base import Head, HeadOutput, check_width, stages
from segsweep.rules import DROPOUT


class Fcn8s(Head):
    """fc6 (7×7), fc7 and scores on the coarsest stage; upsampled and added to a finer stage's, twice.

    The upsampling is learned and starts as bilinear interpolation; the last, to the image's size, is bilinear
    and fixed, as in the paper. Departures: fc6 pads its map instead of the image by 100 pixels, and scores
    start from random weights instead of zeros, for which the paper saw neither better results nor faster.

    Args:
        width: channels of fc6 and fc7.
        pooled: score the max-pooled maps of the two stages before, with twice their strides. timm's VGG gives
            the maps in front of its pooling layers, and with it pool3 and pool4 of the paper are these.
        dropout: behind fc6 and fc7.

    Raises:
        ConfigError: the encoder has fewer than three stages, or with `pooled` fewer than four.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        num_classes: int,
        width: int = 4096,
        pooled: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        DROPOUT.check("dropout", dropout)
        check_width(width)
        self.used, needed = stages(reductions), 4 if pooled else 3
        if len(self.used) < needed:
            raise ConfigError(f"head=fcn8s needs {needed} stages at stride 4 or more: use another backbone")
        self.used = [*self.used[-needed:][:2], self.used[-1]]
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.hidden = nn.Sequential(
            nn.Conv2d(channels[-1], width, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip
        scored = [*(channels[i] for i in self.used[:2]), width]
        self.scores = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in scored)
        own = [reductions[i] * (2 if pooled else 1) for i in self.used[:2]]
        strides = [*own, reductions[-1]]
        self.up = nn.ModuleList(upsampling(num_classes, b // a) for a, b in pairwise(strides))

    def forward(self, features: list[Tensor]) -> HeadOutput:
        """Logits at the finest of the three stages, stride 8 with most encoders."""
        fine, middle, last = (features[i] for i in self.used)
        maps = (self.pool(fine), self.pool(middle), self.hidden(last))
        *finer, x = (score(one) for score, one in zip(self.scores, maps, strict=True))
        for up, own in zip(reversed(self.up), reversed(finer), strict=True):
            x = own + resize(up(x), own.shape[-2:])
        logits: Tensor = x
        return logits


def upsampling(channels: int, factor: int) -> nn.Module:
    """Return a learned upsampling of [B, C, h, w] by an even factor (or 1: none) that starts as bilinear."""
    if factor == 1:
        return nn.Identity()
    conv = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    ramp = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[range(channels), range(channels)] = torch.outer(ramp, ramp).to(conv.weight)
    return conv
