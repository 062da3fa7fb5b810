"""One look at an image, and the logits that it yields, row by row.

At an image's own size logits are large: 1.3 GB for 150 classes of 2048×1024 pixels. A network's are coarse,
so these are kept, and resized in bands of rows as `RowsOfLogits.rows` is asked for them.

Sliding windows show a large image as overlapping crops, each of the size of a training crop. They lie on a
grid of strides; the last of each row and column is moved back to end at the image's border, so that nothing
is padded (as in mmsegmentation's `slide_inference`). Logits are averaged where windows overlap.

Shape letters: `B` images of one size, `K` classes, `H W` their size, `h w` a map of logits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import floor
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segsweep.networks.blocks import resize
from segsweep.networks.segmenter import Network

Pair = tuple[int, int]


@dataclass(frozen=True)
class View:
    """One look at an image or its centre: resized, mirrored, whole or through windows, at an output stride.

    Views are ordered by their settings, so that every set of them has one order of computation.
    """

    scale: float = 1.0
    flip: bool = False
    window: Pair | None = None
    stride: Pair | None = None
    output_stride: int | None = None
    crop: Pair | None = None
    run: str | None = None
    """The run whose network looks; None: the one that is tested."""

    def __lt__(self, other: "View") -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[Any, ...]:
        settings = self.output_stride or 0, self.window or (), self.stride or (), self.flip, self.scale
        return self.crop or (), self.run or "", *settings

    @property
    def network(self) -> tuple[str, int]:
        """What tells the networks apart that views need: run and output stride, empty and 0 for its own."""
        return self.run or "", self.output_stride or 0

    def logits(self, segmenter: Network, images: Tensor) -> "RowsOfLogits":
        """Return the logits of the images [B, 3, H, W], or of their centres, mirrored back."""
        images = images[..., *centre((images.shape[-2], images.shape[-1]), self.crop)]
        height, width = size = (images.shape[-2], images.shape[-1])
        seen = resize(images, (max(1, round(height * self.scale)), max(1, round(width * self.scale))))
        seen = seen.flip(-1) if self.flip else seen
        if self.window is None or self.stride is None:
            return RowsOfLogits([Patch(self._of(segmenter, seen), (0, 0), size)], size, size)
        canvas = (seen.shape[-2], seen.shape[-1])
        patches = []
        for rows, columns in windows(canvas, self.window, self.stride):
            left = canvas[1] - columns.stop if self.flip else columns.start
            extent = (rows.stop - rows.start, columns.stop - columns.start)
            patches.append(Patch(self._of(segmenter, seen[..., rows, columns]), (rows.start, left), extent))
        return RowsOfLogits(patches, canvas, size)

    def _of(self, segmenter: Network, crop: Tensor) -> Tensor:
        logits = segmenter.logits(crop).float()
        return logits.flip(-1) if self.flip else logits


class Patch(NamedTuple):
    """Logits [B, K, h, w] of a part of a canvas."""

    logits: Tensor
    corner: Pair
    """Top row and left column, in pixels of the canvas."""
    extent: Pair
    """Height and width, in pixels of the canvas."""

    def rows(self, index: int, start: int, stop: int) -> Tensor:
        """Return rows of the patch's own at its extent, [1, K, stop - start, width]."""
        logits = self.logits[index : index + 1]
        return resized_rows(logits, 0, logits.shape[-2], self.extent, start, stop)


class RowsOfLogits:
    """What a view yields of images of one size: the means of patches on a canvas, resized to that size."""

    def __init__(self, patches: Sequence[Patch], canvas: Pair, size: Pair) -> None:
        self.patches, self.canvas, self.size = patches, canvas, size

    @property
    def classes(self) -> int:
        """K."""
        return self.patches[0].logits.shape[1]

    def rows(self, index: int, start: int, stop: int) -> Tensor:
        """Return the rows `start` to `stop` of an image's logits, float32 [1, K, stop - start, W]."""
        if self.canvas == self.size:
            return self._on_canvas(index, start, stop)
        height = self.canvas[0]
        first, last = (floor(_position(row, height, self.size[0])) for row in (start, stop - 1))
        last = min(last + 2, height)
        found = self._on_canvas(index, first, last)
        return resized_rows(found, first, height, self.size, start, stop)

    def _on_canvas(self, index: int, start: int, stop: int) -> Tensor:
        if len(self.patches) == 1:
            return self.patches[0].rows(index, start, stop)
        like = self.patches[0].logits
        total = like.new_zeros(1, self.classes, stop - start, self.canvas[1])
        coverage = like.new_zeros(1, 1, *total.shape[2:])
        for patch in self.patches:
            (top, left), (height, width) = patch.corner, patch.extent
            upper, lower = max(start, top), min(stop, top + height)
            if upper < lower:
                place = (..., slice(upper - start, lower - start), slice(left, left + width))
                total[place] += patch.rows(index, upper - top, lower - top)
                coverage[place] += 1
        return total.div_(coverage)


def resized_rows(x: Tensor, first: int, height: int, size: Pair, start: int, stop: int) -> Tensor:
    """Return the rows `start` to `stop` that resizing a map bilinearly to `size` would yield.

    `x` [B, C, n, w] holds those of the map's `height` rows that are needed, from row `first` on. Pixel
    centres are aligned, as in `networks.blocks.resize`; results differ from it by rounding.
    """
    rows = torch.arange(start, stop, dtype=torch.float64, device=x.device)
    positions = ((rows + 0.5) * (height / size[0]) - 0.5).clamp(0, height - 1)
    above = positions.long()
    below = (above + 1).clamp(max=height - 1)
    weight = (positions - above).to(x.dtype)[:, None]
    between = torch.lerp(x.index_select(2, above - first), x.index_select(2, below - first), weight)
    return resize(between, (stop - start, size[1]))


def _position(row: int, height: int, rows: int) -> float:
    """Where one of `rows` lies among `height` rows, by the arithmetic of `resized_rows`."""
    return min(max((row + 0.5) * (height / rows) - 0.5, 0.0), height - 1.0)


def centre(size: Pair, crop: Pair | None) -> tuple[slice, slice]:
    """Return the rows and columns of an image of `size` that lie in its middle `crop`; None: all of them.

    A side that is shorter than the crop is seen whole.
    """
    height, width = size if crop is None else (min(crop[0], size[0]), min(crop[1], size[1]))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return slice(top, top + height), slice(left, left + width)


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side of `length` pixels; one window at 0 if it is shorter."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


def windows(size: Pair, window: Pair, stride: Pair) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window over an image of `size`, all as (height, width) in pixels."""
    height, width = min(window[0], size[0]), min(window[1], size[1])
    tops = window_starts(size[0], window[0], stride[0])
    lefts = window_starts(size[1], window[1], stride[1])
    for top, left in product(tops, lefts):
        yield slice(top, top + height), slice(left, left + width)
