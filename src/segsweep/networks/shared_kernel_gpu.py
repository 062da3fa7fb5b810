"""The shared kernel's layer on a GPU: one product, then BatchNorm, ReLU and sum in the adds of its tap maps.

In training with batch statistics and in inference the adds are fused with what follows. Otherwise (frozen or
synchronised BatchNorm, gradients in evaluation) the layer's own BatchNorms follow the adds.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.shared_kernel_norm import refuse_second_derivative, shared_norm_relu
from segsweep.networks.shared_kernel_triton import shift_add, shift_add_backward, shift_add_inference


def tap_maps(x: Tensor, kernel: Tensor) -> Tensor:
    """[B, C, H, W] and [D, C, 3, 3] → [B, H, W, 9, D]: x times the kernel's nine matrices, in x's type."""
    x = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    # One copy that casts and reorders.
    matrices = kernel.permute(2, 3, 0, 1).to(x.dtype, memory_format=torch.contiguous_format)
    return F.linear(x, matrices.flatten(0, 2)).view(*x.shape[:-1], 9, -1)


class ShiftAdd(torch.autograd.Function):
    """Taps [B, H, W, 9, D] → maps [R, B, H, W, D]; nothing is kept."""

    @staticmethod
    def forward(ctx: Any, taps: Tensor, rates: Sequence[int]) -> Tensor:
        """Shift and add."""
        ctx.rates = rates
        return shift_add(taps, rates)

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None]:
        """Shift back and add."""
        refuse_second_derivative()
        return shift_add_backward(gradients, ctx.rates), None


def gpu_maps(
    x: Tensor, kernel: Tensor, rates: Sequence[int], norms: Sequence[nn.BatchNorm2d], fuse_sum: bool
) -> list[Tensor]:
    """[B, C, H, W] → ReLU(BN_r(conv(x, kernel, dilation r))), R maps [B, D, H, W] or their sum (`fuse_sum`).

    Maps are channels last. BatchNorms in training update their running statistics.
    """
    if all(map(takes_batch_statistics, norms)) and x[:, 0].numel() > 1:
        maps = trained(x, kernel, rates, norms, fuse_sum)
    elif torch.is_grad_enabled() or not all(map(is_affine, norms)):
        shifted = ShiftAdd.apply(tap_maps(x, kernel), rates)  # type: ignore[no-untyped-call]
        shifted = shifted.permute(0, 1, 4, 2, 3)
        found = [F.relu(norm(map), inplace=True) for norm, map in zip(norms, shifted, strict=True)]
        return [reduce(torch.add, found)] if fuse_sum else found
    else:
        maps = shift_add_inference(tap_maps(x, kernel), rates, *folded(norms), fuse_sum)
    return list(maps.view(-1, *maps.shape[-4:]).permute(0, 1, 4, 2, 3))


def takes_batch_statistics(norm: nn.BatchNorm2d) -> bool:
    """Tell if this is torch's own BatchNorm in training, as it is by default: not one that ranks share."""
    default = norm.momentum is not None and norm.affine and norm.track_running_stats
    return norm.training and type(norm) is nn.BatchNorm2d and default


def is_affine(norm: nn.BatchNorm2d) -> bool:
    """Tell if this is a scale and a shift: BatchNorm in evaluation on running statistics."""
    return not norm.training and norm.affine and norm.track_running_stats


def trained(
    x: Tensor, kernel: Tensor, rates: Sequence[int], norms: Sequence[nn.BatchNorm2d], fuse_sum: bool
) -> Tensor:
    """Normalise with the batch's statistics, and update the running ones as `F.batch_norm` does."""
    weight, bias = torch.stack(of_each(norms, "weight")), torch.stack(of_each(norms, "bias"))
    # No name for the tap maps: they are freed as soon as they are added.
    maps, mean, var = shared_norm_relu(tap_maps(x, kernel), weight, bias, norms[0].eps, rates, fuse_sum)
    count = x[:, 0].numel()
    with torch.no_grad():
        # One launch for all rates each.
        torch._foreach_add_(of_each(norms, "num_batches_tracked"), 1)
        for name, batch in (("running_mean", mean), ("running_var", var * (count / (count - 1)))):
            running = of_each(norms, name)
            torch._foreach_lerp_(running, batch.to(running[0].dtype).unbind(), norms[0].momentum or 0.0)
    return maps


def of_each(norms: Sequence[nn.BatchNorm2d], name: str) -> list[Tensor]:
    """Return the parameters or statistics of one name."""
    return [getattr(norm, name) for norm in norms]


def folded(norms: Sequence[nn.BatchNorm2d]) -> tuple[Tensor, Tensor]:
    """Return scale and bias [R, D] of BatchNorms on their running statistics."""
    names = ("running_mean", "running_var", "weight", "bias")
    rows = torch.stack([tensor for name in names for tensor in of_each(norms, name)])
    mean, var, weight, bias = rows.chunk(4)
    scale = weight * (var + norms[0].eps).rsqrt()
    return scale, torch.addcmul(bias, mean, scale, value=-1)
