"""Resizing and grid pooling whose gradients have the same bits each time, on a GPU too.

Both are linear in rows and in columns: a channel X [h, w] becomes R·X·Cᵀ, with one matrix R [H, h] for the
rows and one C [W, w] for the columns. So the gradient of X is Rᵀ·G·C: two matrix products, whose sums have a
fixed order. torch's own backward kernels on CUDA add with atomics instead, in the order in which threads
arrive. Its forward kernels are deterministic, and nothing is faster: they stay.

R and C are what torch's operation makes of the identity matrix, so that edges and rounding are its own. They
are made anew in each backward pass by a few small kernels: tensors kept between steps would be in the way of
CUDA graphs and compilation.

Shape letters: `B` images, `C` channels, `h w` the map, `H W` the result.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
Operation = Callable[[Tensor, Size], Tensor]


def bilinear(x: Tensor, size: Size, align_corners: bool = False) -> Tensor:
    """Resize [B, C, h, w] to `size` (height, width) bilinearly; pixel centres are aligned, or corners."""
    if exact_backward_wanted(x):
        return separable(x, upsample_corners if align_corners else upsample, size)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def grid_average(x: Tensor, size: Size) -> Tensor:
    """Average [B, C, h, w] over a grid of `size` (rows, columns), as adaptive pooling does."""
    if exact_backward_wanted(x):
        return separable(x, F.adaptive_avg_pool2d, size)
    return F.adaptive_avg_pool2d(x, size)


def exact_backward_wanted(x: Tensor) -> bool:
    """Whether torch's own backward would not do; on the CPU it is deterministic, and mostly faster."""
    return x.device.type != "cpu" and torch.are_deterministic_algorithms_enabled()


def upsample(x: Tensor, size: Size) -> Tensor:
    """Resize by the kernel itself: in deterministic mode F.interpolate gathers pixel by pixel instead."""
    resized: Tensor = torch.ops.aten.upsample_bilinear2d(x, size, False)
    return resized


def upsample_corners(x: Tensor, size: Size) -> Tensor:
    """Resize with the centres of the corner pixels aligned, by the kernel itself."""
    resized: Tensor = torch.ops.aten.upsample_bilinear2d(x, size, True)
    return resized


def separable(x: Tensor, operation: Operation, size: Size) -> Tensor:
    """Apply an operation on [B, C, h, w] that is linear in rows and columns; its gradient is two products."""
    result: Tensor = SeparableMap.apply(x, operation, size)  # type: ignore[no-untyped-call]
    return result


class SeparableMap(torch.autograd.Function):
    """The derivative of `separable`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operation: Operation, size: Size) -> Tensor:
        """Apply `operation(x, size)`."""
        ctx.operation, ctx.before, ctx.after = operation, x.shape[-2:], size
        return operation(x, size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return Rᵀ·G·C [B, C, h, w] of G [B, C, H, W], computed in float32 at least."""
        wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        with torch.autocast(gradient.device.type, enabled=False):
            rows, columns = (
                matrix(ctx.operation, before, after, wide).T
                for before, after in zip(ctx.before, ctx.after, strict=True)
            )
            return products(rows, wide, columns).to(gradient.dtype), None, None


def matrix(operation: Operation, before: int, after: int, like: Tensor) -> Tensor:
    """Return the [after, before] matrix by which an operation maps rows, in the type and place of `like`."""
    identity = torch.eye(before, dtype=like.dtype, device=like.device)
    return operation(identity[None, None], (after, before))[0, 0]


def products(rows: Tensor, x: Tensor, columns: Tensor) -> Tensor:
    """Return `rows` [h, H] · x [B, C, H, W] · `columns`ᵀ [W, w], in x's memory format."""
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        return rows @ (x @ columns.T)
    batch, channels, _, width = x.shape
    pixels = x.permute(0, 2, 3, 1)  # contiguous: all that follow are views
    by_rows = rows @ pixels.reshape(batch, -1, width * channels)
    by_columns = columns @ by_rows.view(batch, -1, width, channels)
    return by_columns.permute(0, 3, 1, 2)
