"""CGNet (Wu, Tang, Zhang, Cao and Zhang, arXiv:1811.08201), the variant M3N21."""

import torch
from torch import Tensor, nn

from segsweep.networks.heads.base import HeadOutput
from segsweep.networks.whole.light_blocks import DownAndOn, halved, norm_prelu
from segsweep.networks.whole.whole_network import WholeNetwork


class CgNet(WholeNetwork):
    """Table 1: 3 convolutions at 1/2, then 3 blocks at 1/4 and 21 at 1/8 that see local, surrounding and
    global context. The image itself, halved, is given to each stage again.

    Logits are at 1/8. Taps of auxiliary losses: the stages at 1/4 and 1/8.
    """

    stride = 8
    own_channels = (131, 256)

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        convs = [nn.Conv2d(c, 32, 3, s, 1, bias=False) for c, s in ((3, 2), (32, 1), (32, 1))]
        self.stem = nn.Sequential(*(layer for conv in convs for layer in (conv, norm_prelu(32))))
        self.norm1 = norm_prelu(32 + 3)
        self.stage2 = _stage(35, 64, 3, rate=2, reduction=8)
        self.norm2 = norm_prelu(128 + 3)
        self.stage3 = _stage(131, 128, 21, rate=4, reduction=16)
        self.norm3 = norm_prelu(256)
        self.classifier = nn.Conv2d(256, num_classes, 1, bias=False)

    def maps(self, x: Tensor) -> HeadOutput:
        """Normalised image [B, 3, H, W] → logits [B, K, H/8, W/8]."""
        first = self.norm1(torch.cat([self.stem(x), halved(x, 1)], dim=1))
        fine = self.norm2(torch.cat([self.stage2(first), halved(x, 2)], dim=1))
        coarse = self.norm3(self.stage3(fine))
        logits: Tensor = self.classifier(coarse)
        return (logits, (fine, coarse)) if self.training else logits


def _stage(channels: int, width: int, number: int, rate: int, reduction: int) -> DownAndOn:
    down = ContextGuided(channels, width, rate, reduction, strides=True)
    on = [ContextGuided(width, width, rate, reduction) for _ in range(number - 1)]
    return DownAndOn(down, on)


class ContextGuided(nn.Module):
    """Local and surrounding context by two depthwise convolutions, weighted by the global one (Fig. 3).

    One that strides starts with a 3×3 convolution to the full width, and has no shortcut.
    """

    def __init__(self, channels: int, width: int, rate: int, reduction: int, strides: bool = False) -> None:
        super().__init__()
        self.strides = strides
        inner = width if strides else width // 2
        start = (3, 2, 1) if strides else (1, 1, 0)
        self.start = nn.Sequential(nn.Conv2d(channels, inner, *start, bias=False), norm_prelu(inner))
        self.local = nn.Conv2d(inner, inner, 3, 1, 1, groups=inner, bias=False)
        self.around = nn.Conv2d(inner, inner, 3, 1, rate, rate, groups=inner, bias=False)
        self.norm = norm_prelu(2 * inner)
        self.reduce = nn.Conv2d(2 * inner, width, 1, bias=False) if strides else nn.Identity()
        squeezed = width // reduction
        self.weigh = nn.Sequential(
            nn.Linear(width, squeezed), nn.ReLU(inplace=True), nn.Linear(squeezed, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, width, H, W], halved by one that strides."""
        start = self.start(x)
        joint = self.reduce(self.norm(torch.cat([self.local(start), self.around(start)], dim=1)))
        weighted: Tensor = joint * self.weigh(joint.mean(dim=(2, 3)))[:, :, None, None]
        return weighted if self.strides else weighted + x
