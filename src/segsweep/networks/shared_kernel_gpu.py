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

from segsweep.networks.shared_kernel_norm import NormaliseReluSum, refuse_second_derivative
from segsweep.networks.shared_kernel_triton import shared_inference, shared_maps, shared_maps_backward


def operands(x: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """[B, C, H, W] and [D, C, 3, 3] → x as [B, H, W, C], the kernel as matrices [9·D, C] in x's type."""
    # One copy that casts and reorders.
    matrices = kernel.permute(2, 3, 0, 1).to(x.dtype, memory_format=torch.contiguous_format)
    return x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1), matrices.flatten(0, 2)


class SharedMaps(torch.autograd.Function):
    """x [B, C, H, W] and kernel [D, C, 3, 3] → maps [R, B, H, W, D], and on request their statistics [R, D].

    The statistics have no gradient of their own: who normalises with them adds it to that of the maps.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, rates: Sequence[int], statistics: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keep no tap maps."""
        rows, matrices = operands(x, kernel)
        ctx.rates, ctx.dtype = rates, kernel.dtype
        ctx.save_for_backward(rows, matrices)
        maps, mean, var = shared_maps(rows, matrices, rates, statistics)
        ctx.mark_non_differentiable(mean, var)
        return maps, mean, var

    @staticmethod
    def backward(ctx: Any, gradients: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Shift back, add and multiply back."""
        refuse_second_derivative()
        rows, matrices = ctx.saved_tensors
        of_x, of_matrices = shared_maps_backward(gradients, rows, matrices, ctx.rates)
        of_kernel = of_matrices.view(3, 3, -1, of_x.shape[-1]).permute(2, 3, 0, 1)
        return of_x.permute(0, 3, 1, 2), of_kernel.to(ctx.dtype), None, None


def gpu_maps(
    x: Tensor, kernel: Tensor, rates: Sequence[int], norms: Sequence[nn.BatchNorm2d], fuse_sum: bool
) -> list[Tensor]:
    """[B, C, H, W] → ReLU(BN_r(conv(x, kernel, dilation r))), R maps [B, D, H, W] or their sum (`fuse_sum`).

    Maps are channels last. BatchNorms in training update their running statistics.
    """
    if all(map(takes_batch_statistics, norms)) and x[:, 0].numel() > 1:
        maps = trained(x, kernel, rates, norms, fuse_sum)
    elif torch.is_grad_enabled() or not all(map(is_affine, norms)):
        shifted, _, _ = SharedMaps.apply(x, kernel, rates, False)  # type: ignore[no-untyped-call]
        shifted = shifted.permute(0, 1, 4, 2, 3)
        found = [F.relu(norm(map), inplace=True) for norm, map in zip(norms, shifted, strict=True)]
        return [reduce(torch.add, found)] if fuse_sum else found
    else:
        maps = shared_inference(*operands(x, kernel), rates, *folded(norms), fuse_sum)
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
    maps, mean, var = SharedMaps.apply(x, kernel, rates, True)  # type: ignore[no-untyped-call]
    arguments = weight, bias, norms[0].eps, fuse_sum
    output: Tensor = NormaliseReluSum.apply(maps, mean, var, *arguments)  # type: ignore[no-untyped-call]
    count = x[:, 0].numel()
    with torch.no_grad():
        # One launch for all rates each.
        torch._foreach_add_(of_each(norms, "num_batches_tracked"), 1)
        for name, batch in (("running_mean", mean), ("running_var", var * (count / (count - 1)))):
            running = of_each(norms, name)
            torch._foreach_lerp_(running, batch.to(running[0].dtype).unbind(), norms[0].momentum or 0.0)
    return output


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
