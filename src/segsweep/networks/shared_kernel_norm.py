"""BatchNorm, ReLU and sum over rates of the shared product's maps in training on a GPU, and their gradients.

This is a step of its own for autograd: the maps are freed before the gradients of their tap maps are made.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from segsweep.networks.shared_kernel_triton import (
    FEW_PIXELS,
    PIXELS,
    launch,
    launch_tiles,
    operator,
)

STEPS = 8  # tiles whose gradients one program sums


def new_output(
    maps: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float, fuse_sum: bool
) -> Tensor:
    """Allocate what `normalise_relu_sum` returns."""
    return torch.empty_like(maps[0] if fuse_sum else maps)


@operator(new_output)
def normalise_relu_sum(
    maps: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float, fuse_sum: bool
) -> Tensor:
    """ReLU of the normalised maps [R, B, H, W, C]; all else is [R, C]. Return their sum if `fuse_sum`."""
    output = new_output(maps, mean, var, weight, bias, eps, fuse_sum)
    tensors = (maps, mean, var, weight.contiguous(), bias.contiguous(), output)
    arguments = {"eps": eps, "R": len(maps), "FUSE": fuse_sum}
    launch_tiles("normalise_relu_sum", maps.shape, tensors, FEW_PIXELS, **arguments)
    return output


def new_gradients(
    gradient: Tensor, maps: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Allocate what `normalise_relu_sum_backward` returns."""
    return torch.empty_like(maps), mean.new_empty(2, *mean.shape)


@operator(new_gradients)
def normalise_relu_sum_backward(
    gradient: Tensor, maps: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the maps, also by way of their statistics, and of bias and weight [2, R, C]."""
    arguments: dict[str, Any] = {"eps": eps, "FUSE": gradient.dim() < maps.dim()}
    tensors = (gradient.contiguous(), maps, mean, var, weight.contiguous(), bias.contiguous())
    pixels = prod(maps.shape[1:-1])
    programs = -(-pixels // (PIXELS * STEPS))
    parts = mean.new_empty(2, len(maps), programs, mean.shape[-1])
    sizes = {"N": pixels, "PIXELS": PIXELS, "STEPS": STEPS}
    launch("sum_gradients", (*tensors, parts), (programs, mean.shape[-1], len(maps)), **sizes, **arguments)
    sums, gradients = parts.sum(2), torch.empty_like(maps)
    launch_tiles("normalise_backward", maps.shape, (*tensors, sums, gradients), R=len(maps), **arguments)
    return gradients, sums


def refuse_second_derivative() -> None:
    """Raise RuntimeError where autograd records the backward pass (`create_graph`)."""
    if torch.is_grad_enabled():
        raise RuntimeError("KSAC's Triton kernels have no second derivative: set head.impl=branches")


class NormaliseReluSum(torch.autograd.Function):
    """Maps and their statistics → outputs; ReLU's mask is computed again from the maps."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        fuse: bool,
    ) -> Tensor:
        """Keep the maps."""
        ctx.eps = eps
        ctx.save_for_backward(maps, mean, var, weight, bias)
        return normalise_relu_sum(maps, mean, var, weight, bias, eps, fuse)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """BatchNorm's complete gradient is that of the maps."""
        refuse_second_derivative()
        maps, mean, var, weight, bias = ctx.saved_tensors
        gradients, sums = normalise_relu_sum_backward(gradient, maps, mean, var, weight, bias, ctx.eps)
        return gradients, None, None, sums[1].to(weight.dtype), sums[0].to(weight.dtype), None, None
