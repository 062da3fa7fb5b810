"""The operation the KSAC paper is about: one 3×3 kernel that all atrous rates share.

Sharing works by naming: there is a single parameter K, and each rate convolves the same input with it at
its own dilation. A rate owns nothing but its BatchNorm, so the number of convolution weights does not
depend on how many rates there are, and K receives the sum of the rates' gradients: every object trains
it, whichever rate sees that object best (paper §3.2).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SharedAtrousConv(nn.Module):
    """Algorithm 1 of the KSAC paper, up to the sum: ReLU(BN_r(conv(x, K, dilation r))) for each rate r.

    K is [out_channels, channels, 3, 3] without bias. The maps are given back one by one so that the head
    may add them (Algorithm 1) or concatenate them (one reading of Fig. 4).
    """

    def __init__(self, channels: int, out_channels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.rates = tuple(rates)
        self.kernel = nn.Parameter(torch.empty(out_channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.kernel, mode="fan_out", nonlinearity="relu")
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in self.rates)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] → R maps [B, out_channels, H, W], in the order of `rates`."""
        return [
            F.relu(norm(F.conv2d(x, self.kernel, padding=rate, dilation=rate)), inplace=True)
            for rate, norm in zip(self.rates, self.norms, strict=True)
        ]
