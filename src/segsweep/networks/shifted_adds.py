"""One kernel at several atrous rates for the price of one: a product for all rates, then shifted sums.

A 3×3 convolution multiplies each pixel with nine matrices, its taps, and adds up nine of these products that
lie `rate` pixels apart. The products do not depend on the rate:

    maps[r][y, x] = Σ_k taps[y + r·(k // 3 - 1), x + r·(k % 3 - 1), k],   taps[y, x, k] = K_k · input[y, x]

so that rates that share the kernel share them too; each rate costs nine additions an element. What lies
outside the map is zero, as in a convolution whose padding is its rate. Sums of rows of a table are what torch
calls an embedding bag; the gradient is one too.

Shape letters: `B` images, `C` input channels, `D` output channels, `H W` a map, `T` taps that are computed.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK = 12 * 2**20
"""Bytes of taps that exist at a time: few enough for a processor's cache, and that training needs no more
memory than with a convolution for each rate."""

LEAST_CHANNELS = 64
"""Output channels that a product computes at least: with fewer it is slow."""
LEAST_CHANNELS_BACK = 16
"""The same for the products of the backward pass."""

Region = tuple[Any, ...]
"""Where a part of the images and channels lies in maps [B, H, W, D]."""


def live_taps(rates: Sequence[int], height: int, width: int) -> tuple[int, ...]:
    """Return the taps, 0 to 8 row by row, that lie on the map for one rate at least."""
    nearest = min(rates)
    return tuple(
        tap for tap in range(9) if (tap // 3 == 1 or nearest < height) and (tap % 3 == 1 or nearest < width)
    )


def by_tap(weight: Tensor) -> Tensor:
    """Return a view of a kernel [D, C, 3, 3] as the matrices of its taps [9, D, C]."""
    return weight.flatten(2).permute(2, 0, 1)


def places(taps: Sequence[int]) -> slice | list[int]:
    """Return the index of taps among the nine: of all of them one that copies nothing."""
    return slice(None) if len(taps) == 9 else list(taps)


def as_matrices(weight: Tensor, taps: Sequence[int]) -> Tensor:
    """Return a kernel [D, C, 3, 3] as that of a 1×1 convolution which gives the taps, [T·D, C, 1, 1]."""
    return by_tap(weight)[places(taps)].reshape(-1, weight.shape[1], 1, 1)


class ShiftedSums(NamedTuple):
    """Sums of values that lie some steps from a pixel, for each pixel of a map."""

    rows: Tensor
    """Which rows of a table of values are added up, one sum after the other, int32."""
    begins: Tensor
    """Where in `rows` those of each sum begin, int32."""
    size: int
    """Rows of the table."""

    def of(self, values: Tensor) -> Tensor:
        """Add up values [b, H, W, m, D] → [b, H, W, n, D].

        Each sum is written once, where one addition after the other would pass it through memory nine times
        and wait for all threads as often. The summands have a fixed order, whatever threads do.
        """
        height, width, _, channels = values.shape[1:]
        images = torch.arange(len(values), dtype=torch.int32)[:, None]
        rows = (self.rows + images * self.size).flatten().to(values.device)
        begins = (self.begins + images * len(self.rows)).flatten().to(values.device)
        sums = F.embedding_bag(rows, values.reshape(-1, channels), begins, mode="sum")
        return sums.view(len(values), height, width, -1, channels)


def shifted_sums(steps: Sequence[Sequence[tuple[int, int]]], height: int, width: int) -> ShiftedSums:
    """Return n sums of m summands for each pixel, from steps [n, m] (down, right), one to each summand.

    Summand j is the neighbour's value j of m. What lies off the map counts as zero.
    """
    down, right = np.array(steps, np.int32).transpose(2, 0, 1)
    rows = np.arange(height, dtype=np.int32)[:, None, None, None] + down
    columns = np.arange(width, dtype=np.int32)[:, None, None] + right
    inside = ((rows >= 0) & (rows < height)) & ((columns >= 0) & (columns < width))
    summands = down.shape[1]
    table = rows * (width * summands) + (columns * summands + np.arange(summands, dtype=np.int32))
    used = np.flatnonzero(inside)
    begins = np.searchsorted(used, np.arange(0, inside.size, summands)).astype(np.int32)
    return ShiftedSums(
        torch.from_numpy(table.reshape(-1)[used]), torch.from_numpy(begins), height * width * summands
    )


def step(tap: int, rate: int) -> tuple[int, int]:
    """Return how far down and to the right of a pixel its tap lies."""
    return rate * (tap // 3 - 1), rate * (tap % 3 - 1)


def parts(x: Tensor, channels: int, a_channel: int, most: int, least: int) -> Iterator[tuple[slice, slice]]:
    """Yield images of x and output channels whose work fills `most` bytes at most if it can.

    These are several images, one, or one and a part of the channels, `least` at least. An output channel
    of one image needs `a_channel` bytes.
    """
    number = -(-channels // max(least, most // max(1, a_channel)))
    width = -(-channels // number)  # equal parts
    images = max(1, most // max(1, width * a_channel))
    for first in range(0, channels, width):
        for image in range(0, len(x), images):
            yield slice(image, image + images), slice(first, first + width)


def product(x: Tensor, weight: Tensor, taps: Sequence[int]) -> Tensor:
    """Return the products [b, H, W, T, D] of images [b, C, H, W], channels last, and kernel [D, C, 3, 3]."""
    maps = F.conv2d(x, as_matrices(weight, taps)).permute(0, 2, 3, 1)
    return maps.view(*maps.shape[:3], len(taps), len(weight))


def sums_of_taps(rates: Sequence[int], height: int, width: int) -> ShiftedSums:
    """Return what each rate's map adds up of the live taps' products."""
    taps = live_taps(rates, height, width)
    return shifted_sums([[step(tap, rate) for tap in taps] for rate in rates], height, width)


kept_sums_of_taps = lru_cache(maxsize=16)(sums_of_taps)
"""The same, for inference: in training they would count among what a step holds at most."""


def maps_in_parts(
    x: Tensor, weight: Tensor, rates: Sequence[int], sums: ShiftedSums, most: int
) -> Iterator[tuple[Region, Tensor]]:
    """Yield images b and output channels D', and the maps of all rates there [b, H, W, R, D'].

    x is channels last, `sums` are the rates' of taps. What exists at a time fills `most` bytes at most if it
    can.
    """
    taps = live_taps(rates, *x.shape[2:])
    a_channel = (len(taps) + 2 * len(rates)) * x.shape[2] * x.shape[3] * x.element_size()
    for images, channels in parts(x, len(weight), a_channel, most, LEAST_CHANNELS):
        yield (images, ..., channels), sums.of(product(x[images], weight[channels], taps))


class SharedProduct(torch.autograd.Function):
    """x [B, C, H, W] and a kernel [D, C, 3, 3] → one map [B, D, H, W] for each rate.

    Some products at a time, so that they stay in the cache; the backward pass gathers the gradients of some
    output channels' products and multiplies back. It cannot be differentiated once more, and torch says so.

    A convolution for each rate would hold up to three gradients of x and of the kernel, since autograd adds
    them up. What exists here beside the maps and one gradient of each is kept below that.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rates: Sequence[int]) -> tuple[Tensor, ...]:
        """Compute the maps, channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.rates = tuple(rates)
        maps = [x.new_empty(len(x), *x.shape[2:], len(weight)) for _ in rates]
        most = min(CHUNK, 3 * x.nbytes + weight.nbytes)  # beside them is a copy of the kernel
        sums = sums_of_taps(rates, *x.shape[2:])
        for region, found in maps_in_parts(x, weight, rates, sums, most):
            for out, map in zip(maps, found.unbind(3), strict=True):
                out[region] = map
            del found, map  # before the next ones exist
        return tuple(out.permute(0, 3, 1, 2) for out in maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of x and of the kernel."""
        x, weight = ctx.saved_tensors
        taps, pixels = live_taps(ctx.rates, *x.shape[2:]), x.permute(0, 2, 3, 1)
        of_pixels = torch.zeros_like(pixels, dtype=exact(x))
        of_weight = torch.zeros_like(weight, dtype=exact(x))
        for (images, _, channels), of_product in gradients_in_parts(gradients, x, weight, ctx.rates):
            if ctx.needs_input_grad[0]:
                matrices = as_matrices(weight[channels], taps)[..., 0, 0]
                add_product(of_pixels[images].flatten(0, 2), of_product, matrices)
            if ctx.needs_input_grad[1]:
                of_matrices = of_product.T @ pixels[images].flatten(0, 2)
                by_tap(of_weight[channels])[places(taps)] += of_matrices.view(len(taps), -1, x.shape[1])
            del of_product  # before the next one exists
        return of_pixels.to(x.dtype).permute(0, 3, 1, 2), of_weight.to(weight.dtype), None


def gradients_in_parts(
    gradients: Sequence[Tensor], x: Tensor, weight: Tensor, rates: Sequence[int]
) -> Iterator[tuple[Region, Tensor]]:
    """Yield images b and output channels D', and the gradient of the products there [b·H·W, T·D'].

    `gradients` are those of the maps, [B, D, H, W].
    """
    taps = live_taps(rates, *x.shape[2:])
    sums = shifted_sums([[step(8 - tap, rate) for rate in rates] for tap in taps], *x.shape[2:])
    of_maps = [gradient.permute(0, 2, 3, 1) for gradient in gradients]
    a_channel = (len(sums.begins) + sums.size + 2 * len(taps) * x.shape[1]) * x.element_size()
    most = min(CHUNK, x.nbytes + weight.nbytes) - 2 * sums.rows.nbytes
    for images, channels in parts(x, len(weight), a_channel, most, LEAST_CHANNELS_BACK):
        region = images, ..., channels
        yield region, sums.of(torch.stack([one[region] for one in of_maps], 3)).flatten(0, 2).flatten(1)


def exact(x: Tensor) -> torch.dtype:
    """Return the type in which products are added up: float32 for those of half precision."""
    return torch.promote_types(x.dtype, torch.float32)


def add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a·b to a matrix that is at least as exact."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def traced_maps(x: Tensor, weight: Tensor, rates: Sequence[int]) -> list[Tensor]:
    """Return the maps [B, D, H, W] by operators alone: for compilers, which fuse the sums, and for export.

    Nothing here depends on the size of the map, so that an exported program can take any.
    """
    padded = F.pad(F.conv2d(x, as_matrices(weight, range(9))), [max(rates)] * 4)
    padded = padded.view(x.shape[0], 9, weight.shape[0], *padded.shape[2:])  # len() would fix the batch
    return [_traced_map(padded, rate, max(rates)) for rate in rates]


def _traced_map(padded: Tensor, rate: int, margin: int) -> Tensor:
    height, width = (side - 2 * margin for side in padded.shape[3:])
    steps = margin - rate, margin, margin + rate
    parts = [
        padded[:, tap, :, row : row + height, column : column + width]
        for tap, (row, column) in enumerate(itertools.product(steps, steps))
    ]
    return sum(parts[1:], parts[0])
