"""Max pooling that remembers where the maxima were, and the way back (SegNet, §3; ENet, §4).

torch's `max_unpool2d` has no deterministic kernel on CUDA: it writes values to positions that might be given
twice. In windows of 2×2 that do not overlap each position is another value's, so unpooling is a choice
between that value and zero, whose gradient has the same bits each time.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima of 2×2 windows of [B, C, H, W], [B, C, H/2, W/2], and their places in the map.

    Places are counted row by row. Height and width must be even.
    """
    maxima, places = F.max_pool2d(x, 2, return_indices=True)
    return maxima, places


def unpool(x: Tensor, places: Tensor) -> Tensor:
    """Put the values of [B, C, h, w] at the places of their maxima in [B, C, 2h, 2w], zeros elsewhere."""
    batch, channels, height, width = x.shape
    window = torch.arange(4 * height * width, device=x.device).view(height, 2, width, 2)
    is_place = places[:, :, :, None, :, None] == window
    spread = torch.where(is_place, x[:, :, :, None, :, None], 0.0)
    return spread.reshape(batch, channels, 2 * height, 2 * width)
