"""One kernel at several atrous rates for the price of one: a product for all rates, then shifted sums.

A 3×3 convolution multiplies each pixel with nine matrices, its taps, and adds up nine of these products that
lie `rate` pixels apart. The products do not depend on the rate:

    maps[r][y, x] = Σ_k taps[y + r·(k // 3 - 1), x + r·(k % 3 - 1), k],   taps[y, x, k] = K_k · input[y, x]

so that rates that share the kernel share them too; each rate costs nine additions an element. What lies
outside the map is zero, as in a convolution whose padding is its rate.

Shape letters: `B` images, `C` input channels, `D` output channels, `H W` a map, `T` taps that are computed.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK = 12 * 2**20
"""Bytes of taps that exist at a time: few enough for a processor's cache, and that training needs no more
memory than with a convolution for each rate."""

LEAST_CHANNELS = 64
"""Output channels that a product computes at least: with fewer it is slow."""
CENTRE = 4
"""The tap that lies on the pixel itself."""

Region = tuple[slice, slice]


def live_taps(rates: Sequence[int], height: int, width: int) -> list[int]:
    """Return the taps, 0 to 8 row by row, that lie on the map for one rate at least."""
    nearest = min(rates)
    return [
        tap for tap in range(9) if (tap // 3 == 1 or nearest < height) and (tap % 3 == 1 or nearest < width)
    ]


def by_tap(weight: Tensor) -> Tensor:
    """Return a view of a kernel [D, C, 3, 3] as the matrices of its taps [9, D, C]."""
    return weight.flatten(2).permute(2, 0, 1)


def places(taps: Sequence[int]) -> slice | list[int]:
    """Return the index of taps among the nine: of all of them one that copies nothing."""
    return slice(None) if len(taps) == 9 else list(taps)


def as_matrices(weight: Tensor, taps: Sequence[int]) -> Tensor:
    """Return a kernel [D, C, 3, 3] as that of a 1×1 convolution which gives the taps, [T·D, C, 1, 1]."""
    return by_tap(weight)[places(taps)].reshape(-1, weight.shape[1], 1, 1)


def overlap(offset: int, size: int) -> Region:
    """Return where a map meets itself shifted: `i` in the first slice, `i + offset` in the second."""
    return slice(max(0, -offset), size - max(0, offset)), slice(max(0, offset), size - max(0, -offset))


def shifts(taps: Sequence[int], rate: int, height: int, width: int) -> Iterator[tuple[int, Region, Region]]:
    """Yield (place in `taps`, region of the map, region of the taps) of each tap that this rate uses."""
    for place, tap in enumerate(taps):
        down, right = rate * (tap // 3 - 1), rate * (tap % 3 - 1)
        if abs(down) < height and abs(right) < width:
            (rows, from_rows), (columns, from_columns) = overlap(down, height), overlap(right, width)
            yield place, (rows, columns), (from_rows, from_columns)


def add_shifted(products: Tensor, taps: Sequence[int], rate: int, out: Tensor) -> Tensor:
    """Add up a rate's products [B, H, W, T, D] in `out` [B, H, W, D], whose values are overwritten."""
    height, width = products.shape[1:3]
    out.copy_(products[:, :, :, list(taps).index(CENTRE)])
    for place, (rows, columns), (from_rows, from_columns) in shifts(taps, rate, height, width):
        if taps[place] != CENTRE:
            out[:, rows, columns] += products[:, from_rows, from_columns, place]
    return out


def gathered(gradients: Sequence[Tensor], tap: int, rates: Sequence[int]) -> Tensor:
    """Return the gradient of one tap's products [B, H, W, D], given those of the maps [B, H, W, D].

    It is the adjoint of `add_shifted`, summed over rates.
    """
    out = torch.zeros_like(gradients[0], dtype=exact(gradients[0]), memory_format=torch.contiguous_format)
    for gradient, rate in zip(gradients, rates, strict=True):
        for _, (rows, columns), (from_rows, from_columns) in shifts([tap], rate, *out.shape[1:3]):
            out[:, from_rows, from_columns] += gradient[:, rows, columns]
    return out


def in_steps(images: int, step: int) -> list[slice]:
    """Return a batch's images in steps of at least one."""
    return [slice(first, first + max(1, step)) for first in range(0, images, max(1, step))]


def products(
    x: Tensor, weight: Tensor, taps: Sequence[int], most: int
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield images b, output channels D' and their products [b, H, W, T, D'], channels last.

    They fill `most` bytes at most if they can: several images, one, or one and a part of the channels.
    """
    a_channel = len(taps) * x.shape[2] * x.shape[3] * x.element_size()
    parts = -(-len(weight) // max(LEAST_CHANNELS, most // max(1, a_channel)))
    channels = -(-len(weight) // parts)  # equal ones
    for first in range(0, len(weight), channels):
        own = slice(first, first + channels)
        matrices = as_matrices(weight[own], taps)
        for images in in_steps(len(x), most // max(1, channels * a_channel)):
            yield images, own, product(x[images], matrices, taps)
        del matrices  # before the next ones exist


def product(x: Tensor, matrices: Tensor, taps: Sequence[int]) -> Tensor:
    """Return the products [b, H, W, T, D'] of images [b, C, H, W], channels last."""
    maps = F.conv2d(x, matrices).permute(0, 2, 3, 1)
    return maps.view(*maps.shape[:3], len(taps), -1)


def exact(x: Tensor) -> torch.dtype:
    """Return the type in which products are added up: float32 for those of half precision."""
    return torch.promote_types(x.dtype, torch.float32)


def new_map(x: Tensor, channels: int) -> Tensor:
    """Return space for a map [B, H, W, D]."""
    return x.new_empty(len(x), *x.shape[2:], channels, dtype=exact(x))


class SharedProduct(torch.autograd.Function):
    """x [B, C, H, W] and a kernel [D, C, 3, 3] → one map [B, D, H, W] for each rate.

    Some products at a time, so that they stay in the cache; the backward pass gathers the gradients of one
    tap after the other and multiplies back. It cannot be differentiated once more, and torch says so.

    A convolution for each rate would hold up to three gradients of x and of the kernel, since autograd adds
    them up. What exists here beside the maps and one gradient of each is kept below that.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rates: Sequence[int]) -> tuple[Tensor, ...]:
        """Compute the maps, channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.rates, ctx.taps = rates, live_taps(rates, *x.shape[2:])
        maps = [new_map(x, len(weight)) for _ in rates]
        most = min(CHUNK, 3 * x.nbytes + weight.nbytes)  # beside them is a copy of the kernel
        for images, channels, multiplied in products(x, weight, ctx.taps, most):
            for out, rate in zip(maps, rates, strict=True):
                add_shifted(multiplied, ctx.taps, rate, out[images, ..., channels])
            del multiplied  # before the next ones exist
        return tuple(out.to(x.dtype).permute(0, 3, 1, 2) for out in maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of x and of the kernel."""
        x, weight = ctx.saved_tensors
        pixels, of_maps = x.permute(0, 2, 3, 1), [gradient.permute(0, 2, 3, 1) for gradient in gradients]
        of_pixels = torch.zeros_like(pixels, dtype=exact(x))
        of_weight = torch.zeros_like(weight)
        # What should stay in the cache are the gradients of an image's maps and of its product.
        a_map = max(1, of_maps[0][:1].nbytes)
        room = min(CHUNK // (len(gradients) + 1), x.nbytes + weight.nbytes)
        parts = in_steps(len(x), room // a_map)
        for tap in ctx.taps:
            matrix = by_tap(weight)[tap].contiguous()
            of_matrix = torch.zeros_like(matrix, dtype=exact(x))
            for images in parts:
                of_product = gathered([one[images] for one in of_maps], tap, ctx.rates)
                of_product = of_product.flatten(0, 2).to(x.dtype)
                if ctx.needs_input_grad[0]:
                    add_product(of_pixels[images].flatten(0, 2), of_product, matrix)
                if ctx.needs_input_grad[1]:
                    add_product(of_matrix, of_product.T, pixels[images].flatten(0, 2))
                del of_product  # before the next one exists
            by_tap(of_weight)[tap] = of_matrix
        of_x = of_pixels.to(x.dtype).permute(0, 3, 1, 2)
        return of_x, of_weight, None


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
