"""KSAC's shared product on a GPU: the adds of its tap maps in Triton, as operators that torch.compile knows.

x [B, H, W, C] times the kernel's nine matrices gives its tap maps [B, H, W, 9, D]: tap k = 3·row + column
is read at (y + (row − 1)·r, x + (column − 1)·r). For each of R atrous rates r these nine are added, those
outside the map left out: maps [R, B, H, W, D]. Sums are float32 (float64 for float64), in a fixed order and
without atomics, so that a repetition gives the same bits.

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
from torch.nn import functional as F

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


def multiply(x: Tensor, matrices: Tensor) -> Tensor:
    """[B, H, W, C] times nine matrices [9·D, C] → the tap maps [B, H, W, 9·D]."""
    if x.dtype != torch.float32:
        return F.linear(x, matrices)
    # As a convolution, so that float32 has the precision (TF32) of the convolutions that this replaces.
    return F.conv2d(x.permute(0, 3, 1, 2), matrices[:, :, None, None]).permute(0, 2, 3, 1).contiguous()


def parts(shape: Sequence[int], rates: int) -> range:
    """Cut B·H·W pixels into some whole images each, whose tap maps are no larger than the R maps of all.

    Training then needs no more memory than with a convolution for each rate.
    """
    batch, height, width = shape
    number = -(-batch // max(1, batch * rates // 9))
    return range(0, batch * height * width, -(-batch // number) * height * width)


def new_maps(
    x: Tensor, matrices: Tensor, rates: Sequence[int], statistics: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Allocate the maps, and mean and variance in the type of sums, which have no rows if not wanted."""
    channels, kind = len(matrices) // 9, torch.float64 if x.dtype == torch.float64 else torch.float32
    mean = x.new_empty(len(rates) if statistics else 0, channels, dtype=kind)
    return x.new_empty(len(rates), *x.shape[:3], channels), mean, torch.empty_like(mean)


@operator(new_maps)
def shared_maps(
    x: Tensor, matrices: Tensor, rates: Sequence[int], statistics: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """x [B, H, W, C] times matrices [9·D, C], shifted and added: maps [R, B, H, W, D], one for each rate.

    With `statistics`, also each map's mean and biased variance over B·H·W, BatchNorm's, [R, D].
    """
    maps, mean, var = new_maps(x, matrices, rates, statistics)
    cut, (_, batch, height, width, channels) = parts(x.shape[:3], len(rates)), maps.shape
    pixels, per = batch * height * width, -(-cut.step // PIXELS)
    tiles = per * (len(cut) - 1) + -(-(pixels - cut[-1]) // PIXELS)
    blocks = mean.new_empty(2, len(rates), tiles, channels) if statistics else (None, None)
    images = torch.split(x.contiguous().flatten(0, 2), cut.step)
    for i, (first, part) in enumerate(zip(cut, images, strict=True)):
        taps = multiply(part.view(-1, height, width, x.shape[-1]), matrices)
        launch(
            "shift_add", (taps, maps, *blocks), (-(-len(part) // PIXELS), channels),
            N=pixels, H=height, W=width, first=first, end=first + len(part), row=i * per, tiles=tiles,
            RATES=tuple(rates), PIXELS=PIXELS,
        )  # fmt: skip
    if statistics:
        sizes = {"N": pixels, "tiles": tiles, "step": cut.step, "per": per, "PIXELS": PIXELS, "ROWS": 128}
        launch("combine_statistics", (*blocks, mean, var), mean.shape, columns=16, **sizes)
    return maps, mean, var


def new_gradients(
    gradients: Tensor, x: Tensor, matrices: Tensor, rates: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Allocate the gradients of x and of the matrices."""
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty(x.shape), matrices.new_empty(matrices.shape, dtype=kind)


@operator(new_gradients)
def shared_maps_backward(
    gradients: Tensor, x: Tensor, matrices: Tensor, rates: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of x and of the matrices (in the type of sums), given those of the maps."""
    of_x, of_matrices = new_gradients(gradients, x, matrices, rates)
    _, batch, height, width, channels = gradients.shape
    cut, gradients = parts(x.shape[:3], len(rates)), gradients.contiguous()
    pieces = matrices.new_empty(len(cut), *matrices.shape)
    rows = (torch.split(tensor.flatten(0, 2), cut.step) for tensor in (x.contiguous(), of_x))
    for first, piece, part, of_part in zip(cut, pieces, *rows, strict=True):
        taps = matrices.new_empty(len(part), len(matrices))
        launch(
            "shift_add_backward", (gradients, taps), (-(-len(part) // PIXELS), channels),
            N=batch * height * width, H=height, W=width, first=first, end=first + len(part),
            RATES=tuple(rates), PIXELS=PIXELS,
        )  # fmt: skip
        torch.mm(taps, matrices, out=of_part)
        torch.mm(taps.t(), part, out=piece)
    return of_x, torch.sum(pieces, 0, dtype=of_matrices.dtype)


def new_outputs(
    x: Tensor, matrices: Tensor, rates: Sequence[int], scale: Tensor, bias: Tensor, fuse_sum: bool
) -> Tensor:
    """Allocate what `shared_inference` returns."""
    shape = (*x.shape[:3], len(matrices) // 9)
    return x.new_empty(shape if fuse_sum else (len(rates), *shape))


@operator(new_outputs)
def shared_inference(
    x: Tensor, matrices: Tensor, rates: Sequence[int], scale: Tensor, bias: Tensor, fuse_sum: bool
) -> Tensor:
    """ReLU(scale[r] · map[r] + bias[r]) with BatchNorm as scale and bias [R, D], in the kernel of the adds.

    Return the sum over rates [B, H, W, D] if `fuse_sum`, else [R, B, H, W, D].
    """
    output = new_outputs(x, matrices, rates, scale, bias, fuse_sum)
    tensors = (multiply(x, matrices), scale.contiguous(), bias.contiguous(), output)
    sizes = {"H": x.shape[1], "W": x.shape[2], "RATES": tuple(rates), "FUSE": fuse_sum}
    launch_tiles("shift_add_inference", output.shape, tensors, FEW_PIXELS, **sizes)
    return output
