"""SQNet (Treml et al., 2016), a fast network for autonomous driving."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.whole_network import WholeNetwork

RATES = (1, 2, 3, 4)
"""Atrous rates of the convolutions in parallel, at 1/16."""


class SqNet(WholeNetwork):
    """SqueezeNet's fire modules with ELUs to 1/16, parallel atrous convolutions, and a decoder that refines.

    There is no BatchNorm. Logits are at the image's size. Taps of auxiliary losses: the encoder's stages at
    1/4, 1/8 and 1/16.
    """

    stride = multiple = 16
    own_channels = (128, 256, 512)

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.stem = _conv_elu(3, 96, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(*(Fire(before if i == 0 else width, width) for i in range(number)))
            for before, width, number in ((96, 128, 2), (128, 256, 2), (256, 512, 3))
        )
        context = ((_conv_elu(256, 256), 256, 96), (_conv_elu(512, 512), 512, 128), (Parallel(512), 512, 256))
        self.up = nn.ModuleList(
            nn.Sequential(conv, _double(before, width), nn.ELU(inplace=True))
            for conv, before, width in context
        )
        self.skip = nn.ModuleList(_conv_elu(c, c) for c in (96, 128, 256))
        self.classifier = nn.Sequential(_conv_elu(192, 192), _double(192, num_classes))

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H, W]."""
        x = self.stem(x)
        skipped, stages = [], []
        for skip, down in zip(self.skip, self.down, strict=True):
            skipped.append(skip(x))
            x = down(F.max_pool2d(x, 2))
            stages.append(x)
        for up, skip in zip(reversed(self.up), reversed(skipped), strict=True):
            x = torch.cat([up(x), skip], dim=1)
        logits: Tensor = self.classifier(x)
        return (logits, stages) if self.training else logits


class Fire(nn.Module):
    """A 1×1 convolution to an eighth, then 1×1 and 3×3 ones to a half each, concatenated."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(channels, width // 8, 1), nn.ELU(inplace=True))
        self.point = nn.Conv2d(width // 8, width // 2, 1)
        self.wide = nn.Conv2d(width // 8, width // 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H, W]."""
        squeezed = self.squeeze(x)
        return F.elu(torch.cat([self.point(squeezed), self.wide(squeezed)], dim=1))


class Parallel(nn.Module):
    """The sum of 3×3 convolutions at several atrous rates, each with its ELU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_conv_elu(channels, channels, rate=rate) for rate in RATES)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        return torch.stack([branch(x) for branch in self.branches]).sum(dim=0)


def _conv_elu(channels: int, width: int, stride: int = 1, rate: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride, rate, rate), nn.ELU(inplace=True))


def _double(channels: int, width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, width, 3, 2, 1, output_padding=1)
