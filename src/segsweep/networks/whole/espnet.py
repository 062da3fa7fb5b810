"""ESPNet (Mehta, Rastegari, Caspi, Shapiro and Hajishirzi, arXiv:1803.06815)."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.light_blocks import DownAndOn, halved, norm_prelu
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.rules import BLOCKS

RATES = (1, 2, 4, 8, 16)
"""Atrous rates of a pyramid; there are as many branches."""


class EspNet(WholeNetwork):
    """ESPNet-C, an encoder of efficient spatial pyramids to 1/8, and a light decoder (Fig. 4d).

    Logits are at the image's size. Taps of auxiliary losses: the encoder's stages at 1/4 and 1/8.

    Args:
        num_classes: K.
        blocks: how often the pyramids at 1/4 and at 1/8 are repeated (α₂ and α₃, §4.1).
    """

    stride = multiple = 8
    own_channels = (131, 256)

    def __init__(self, num_classes: int, blocks: Sequence[int] = (2, 8)) -> None:
        super().__init__(num_classes)
        BLOCKS.check("blocks", blocks)
        k = num_classes
        self.features = EspEncoder(*blocks)
        self.coarse = nn.Sequential(
            nn.Conv2d(256, k, 1, bias=False),
            nn.BatchNorm2d(k, 1e-3),
            nn.ConvTranspose2d(k, k, 2, 2, bias=False),
        )
        self.middle = nn.Conv2d(131, k, 1, bias=False)
        self.join = nn.Sequential(norm_prelu(2 * k), Pyramid(2 * k, k))
        self.up = nn.Sequential(nn.ConvTranspose2d(k, k, 2, 2, bias=False), norm_prelu(k))
        self.refine = nn.Sequential(nn.Conv2d(k + 19, k, 3, padding=1, bias=False), norm_prelu(k))
        self.classifier = nn.ConvTranspose2d(k, k, 2, 2, bias=False)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        fine, middle, coarse = self.features(x)
        joint = self.join(torch.cat([self.middle(middle), self.coarse(coarse)], dim=1))
        refined = self.refine(torch.cat([self.up(joint), fine], dim=1))
        logits: Tensor = self.classifier(refined)
        return (logits, (middle, coarse)) if self.training else logits


class EspEncoder(nn.Module):
    """ESPNet-C without its classifier; the image itself, halved, is given to its stages again."""

    def __init__(self, middle: int, coarse: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), norm_prelu(16))
        self.norm1 = norm_prelu(16 + 3)
        self.stage2 = _stage(19, 64, middle)
        self.norm2 = norm_prelu(128 + 3)
        self.stage3 = _stage(131, 128, coarse)
        self.norm3 = norm_prelu(256)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image [B, 3, H, W] → maps of 19, 131 and 256 channels at 1/2, 1/4 and 1/8."""
        fine = self.norm1(torch.cat([self.stem(x), halved(x, 1)], dim=1))
        middle = self.norm2(torch.cat([self.stage2(fine), halved(x, 2)], dim=1))
        return fine, middle, self.norm3(self.stage3(middle))


def _stage(channels: int, width: int, number: int) -> DownAndOn:
    on = [Pyramid(width, width, residual=True) for _ in range(number)]
    return DownAndOn(Pyramid(channels, width, strides=True), on)


class Pyramid(nn.Module):
    """The ESP module: reduce, split into branches at several atrous rates, merge by sums (Fig. 1).

    Each branch but the first is added to the one before, against gridding artefacts.
    """

    def __init__(self, channels: int, width: int, strides: bool = False, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        rates = RATES[:width]  # a decoder of few classes has no channels for more
        inner = width // len(rates)
        widths = (width - (len(rates) - 1) * inner, *[inner] * (len(rates) - 1))
        start = (3, 2, 1) if strides else (1, 1, 0)
        self.reduce = nn.Conv2d(channels, inner, *start, bias=False)
        self.branches = nn.ModuleList(
            nn.Conv2d(inner, own, 3, 1, rate, rate, bias=False)
            for own, rate in zip(widths, rates, strict=True)
        )
        self.norm = norm_prelu(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H, W], halved by one that strides."""
        reduced = self.reduce(x)
        first, *others = (branch(reduced) for branch in self.branches)
        merged = torch.cat([first, *accumulate(others)], dim=1)
        joint: Tensor = self.norm(merged + x if self.residual else merged)
        return joint
