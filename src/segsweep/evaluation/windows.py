"""Sliding windows: a large image seen through overlapping crops, each at the size of a training crop.

Windows lie on a grid of strides; the last of each row and column is moved back to end at the image's
border, so that nothing is padded (as in mmsegmentation's `slide_inference`). Where windows overlap their
logits are averaged.
"""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side of `length` pixels; one window at 0 where it is shorter."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


def windows(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window over an image of `size`, all as (height, width) in pixels."""
    height, width = min(window[0], size[0]), min(window[1], size[1])
    tops = window_starts(size[0], window[0], stride[0])
    lefts = window_starts(size[1], window[1], stride[1])
    for top, left in product(tops, lefts):
        yield slice(top, top + height), slice(left, left + width)


def sliding_logits(
    segmenter: nn.Module, image: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Mean of the logits [1, K, H, W] over all windows that see a pixel of the image [1, 3, H, W].

    Each window is its own forward pass. An image smaller than the window is one window of its own size.
    """
    height, width = image.shape[-2:]
    total: Tensor | None = None
    coverage = torch.zeros(1, 1, height, width, device=image.device)
    for rows, columns in windows((height, width), window, stride):
        crop = image[..., rows, columns]
        logits = segmenter(crop, tuple(crop.shape[-2:])).float()
        if total is None:
            total = logits.new_zeros(1, logits.shape[1], height, width)
        total[..., rows, columns] += logits
        coverage[..., rows, columns] += 1
    assert total is not None
    return total / coverage
