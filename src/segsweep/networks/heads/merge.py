"""Merging maps from coarse to fine, which encoder-decoder and multi-pathway have in common."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.blocks import conv_bn, conv_bn_relu, resize


class Merge(nn.Module):
    """1×1 conv-BN on either map, the coarse one upsampled, sum, ReLU, 3×3 conv-BN-ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.coarse, self.fine = conv_bn(width, width), conv_bn(channels, width)
        self.refine = conv_bn_relu(width, width, 3)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, width, h, w] and [B, channels, H, W] → [B, width, H, W]."""
        upsampled = resize(self.coarse(coarse), fine.shape[-2:])
        refined: Tensor = self.refine(F.relu(upsampled + self.fine(fine)))
        return refined


class TopDown(nn.Module):
    """3×3 conv-BN-ReLU on the coarsest map, then merged with each finer one in turn."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.top = conv_bn_relu(channels[-1], width, 3)
        self.merges = nn.ModuleList(Merge(c, width) for c in reversed(channels[:-1]))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of `channels`, finest first → [B, width, h, w] at the finest one's size."""
        x: Tensor = self.top(maps[-1])
        for merge, fine in zip(self.merges, reversed(maps[:-1]), strict=True):
            x = merge(x, fine)
        return x
