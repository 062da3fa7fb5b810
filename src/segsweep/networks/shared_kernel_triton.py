"""KSAC's shared product on a GPU: the adds of its tap maps in Triton, as operators that torch.compile knows.

The tap maps T [B, H, W, 9, C] are the product of features and kernel, one map for each tap: tap k = 3·row +
column is read at (y + (row − 1)·r, x + (column − 1)·r). For each of R atrous rates r, these nine are added,
those outside the map left out: maps [R, B, H, W, C], channels last. Sums are float32 (float64 for float64),
in a fixed order and without atomics, so that a repetition gives the same bits.

Triton is imported by the first call, with `shared_kernel_jit`: not every machine has it.
"""

import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")

PIXELS, CHANNELS = 32, 64  # of a tile: rows of 128 bytes in 16 bits
FEW_PIXELS = 16  # where a program holds all rates' parameters, so that registers suffice

# Triton compiles the launcher of a kernel with the machine's C compiler.
TRITON = importlib.util.find_spec("triton") is not None and bool(
    os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
)


def available(tensor: Tensor) -> bool:
    """Tell if the kernels can work on this tensor: it is on a GPU, and Triton and a C compiler are there.

    If they alone are missing, warn of it (Python shows a warning once).
    """
    if tensor.is_cuda and not TRITON and not torch.compiler.is_compiling():
        warnings.warn(
            "KSAC is computed slowly: install Triton and a C compiler for its GPU kernels", stacklevel=2
        )
    return tensor.is_cuda and TRITON


def operator(outputs: Callable[P, T]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function an operator `segsweep::NAME`; a compiler calls `outputs`, which only allocates.

    Defined step by step, since a call through torch.library.custom_op takes 9 µs longer.
    """

    def define(function: Callable[P, T]) -> Callable[P, T]:
        name = function.__name__
        torch.library.define(f"segsweep::{name}", torch.library.infer_schema(function, mutates_args=()))
        torch.library.impl(f"segsweep::{name}", "CompositeExplicitAutograd", function)
        torch.library.register_fake(f"segsweep::{name}", outputs)
        return cast(Callable[P, T], getattr(torch.ops.segsweep, name).default)

    return define


def launch(
    kernel: str,
    tensors: Sequence[Tensor | None],
    grid: Sequence[int],
    columns: int = CHANNELS,
    **arguments: Any,
) -> None:
    """Run a kernel on (programs, channels, layers), each program on at most `columns` of the channels."""
    from segsweep.networks import shared_kernel_jit

    programs, channels, *layers = grid
    columns = min(columns, max(16, 1 << (channels - 1).bit_length()))
    wide = any(tensor is not None and tensor.dtype == torch.float64 for tensor in tensors)
    arguments |= {"C": channels, "CHANNELS": columns}
    arguments["TYPE"] = shared_kernel_jit.FLOAT64 if wide else shared_kernel_jit.FLOAT32
    with torch.cuda.device_of(tensors[0]):  # type: ignore[no-untyped-call]
        run = getattr(shared_kernel_jit, kernel)[(programs, -(-channels // columns), *layers)]
        run(*tensors, **arguments)


def launch_tiles(
    kernel: str,
    shape: Sequence[int],
    tensors: Sequence[Tensor | None],
    pixels: int = PIXELS,
    **arguments: Any,
) -> None:
    """Run a kernel on all tiles of `pixels` of maps of this shape [..., B, H, W, C]."""
    count = prod(shape[-4:-1])
    launch(kernel, tensors, (-(-count // pixels), shape[-1]), N=count, PIXELS=pixels, **arguments)


def launch_adds(
    kernel: str,
    shape: Sequence[int],
    tensors: Sequence[Tensor | None],
    rates: Sequence[int],
    **arguments: Any,
) -> None:
    """Run a kernel of shifted adds on all tiles of maps of this shape."""
    launch_tiles(kernel, shape, tensors, H=shape[-3], W=shape[-2], RATES=tuple(rates), **arguments)


def new_maps(taps: Tensor, rates: Sequence[int]) -> Tensor:
    """Allocate the maps of these tap maps."""
    batch, height, width, _, channels = taps.shape
    return taps.new_empty(len(rates), batch, height, width, channels)


@operator(new_maps)
def shift_add(taps: Tensor, rates: Sequence[int]) -> Tensor:
    """[B, H, W, 9, C] → [R, B, H, W, C], each the sum of the nine tap maps, shifted by that rate."""
    maps = new_maps(taps, rates)
    launch_adds("shift_add", maps.shape, (taps.contiguous(), maps, None, None), rates)
    return maps


def new_taps(gradients: Tensor, rates: Sequence[int]) -> Tensor:
    """Allocate the tap maps of these maps."""
    _, batch, height, width, channels = gradients.shape
    return gradients.new_empty(batch, height, width, 9, channels)


@operator(new_taps)
def shift_add_backward(gradients: Tensor, rates: Sequence[int]) -> Tensor:
    """[R, B, H, W, C] → [B, H, W, 9, C]: the adjoint of `shift_add`, as a gather."""
    taps = new_taps(gradients, rates)
    launch_adds("shift_add_backward", gradients.shape, (gradients.contiguous(), taps), rates)
    return taps


def new_outputs(taps: Tensor, rates: Sequence[int], scale: Tensor, bias: Tensor, fuse_sum: bool) -> Tensor:
    """Allocate what `shift_add_inference` returns."""
    maps = new_maps(taps, rates if not fuse_sum else rates[:1])
    return maps[0] if fuse_sum else maps


@operator(new_outputs)
def shift_add_inference(
    taps: Tensor, rates: Sequence[int], scale: Tensor, bias: Tensor, fuse_sum: bool
) -> Tensor:
    """ReLU(scale[r] · map[r] + bias[r]) with BatchNorm as scale and bias [R, C], in one kernel.

    Return the sum over rates [B, H, W, C] if `fuse_sum`, else [R, B, H, W, C].
    """
    output = new_outputs(taps, rates, scale, bias, fuse_sum)
    tensors = (taps.contiguous(), scale.contiguous(), bias.contiguous(), output)
    launch_adds("shift_add_inference", output.shape, tensors, rates, pixels=FEW_PIXELS, FUSE=fuse_sum)
    return output


def new_statistics(taps: Tensor, rates: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Allocate maps, and mean and variance in the type that sums have."""
    kind = torch.float64 if taps.dtype == torch.float64 else torch.float32
    mean = taps.new_empty(len(rates), taps.shape[-1], dtype=kind)
    return new_maps(taps, rates), mean, torch.empty_like(mean)


@operator(new_statistics)
def shift_add_statistics(taps: Tensor, rates: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """`shift_add`, and with it each map's mean and biased variance over B·H·W as BatchNorm's [R, C]."""
    maps, mean, var = new_statistics(taps, rates)
    pixels = prod(maps.shape[1:-1])
    tiles = -(-pixels // PIXELS)
    means, squares = mean.new_empty(2, len(rates), tiles, mean.shape[-1])
    launch_adds("shift_add", maps.shape, (taps.contiguous(), maps, means, squares), rates)
    sizes = {"tiles": tiles, "N": pixels, "PIXELS": PIXELS, "ROWS": 128}
    launch("combine_statistics", (means, squares, mean, var), mean.shape, columns=16, **sizes)
    return maps, mean, var
