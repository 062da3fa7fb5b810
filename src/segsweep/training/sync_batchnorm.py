"""BatchNorm over the images of all ranks, for when a device has too few of its own.

torch's own layer works on GPUs alone, and putting it into a network replaces layers, which loses the
activation in timm's and the ones that are frozen. Here a network's layers stay and change their class.

Shape letters: `B` images, `C` channels, `R` ranks.
"""

from typing import Any, cast

import torch
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

ENOUGH = 16
"""Images at a time that are enough for a device by itself (KSAC, §4.1: at least 16 for BatchNorm)."""


def synchronises(option: bool | str, world: int, images: int) -> bool:
    """Whether BatchNorm goes over `world` ranks of `images` each: `trainer.sync_batchnorm`."""
    return world > 1 and (images < ENOUGH if option == "auto" else bool(option))


def synchronise(network: nn.Module, on_gpu: bool) -> None:
    """Have every BatchNorm of a network take its statistics over all ranks, while it trains."""
    plain, with_act = (
        (nn.SyncBatchNorm, SyncBatchNormAct) if on_gpu else (CpuSyncBatchNorm, CpuSyncBatchNormAct)
    )
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = with_act if isinstance(module, BatchNormAct2d) else plain
            cast(Any, module).process_group = None


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """What torch's layer does on GPUs, over gloo."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, …] with the statistics of all ranks; in evaluation with those it has gathered."""
        if not self.training:
            return super().forward(x)
        normalise: Any = _Normalise.apply
        out, mean, variance, count = normalise(x, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._track(mean, variance * (count / (count - 1)))
        return cast(Tensor, out)

    def _check_input_dim(self, input: Tensor) -> None:
        """Of any number of axes, as torch's."""

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class CpuSyncBatchNormAct(CpuSyncBatchNorm):
    """The same in the place of timm's BatchNorm, which holds the activation."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, H, W] and activate."""
        out: Tensor = self.act(self.drop(super().forward(x)))
        return out


class _Normalise(Function):
    """x [B, C, …] normalised over all ranks, with mean [C], variance [C] and the values a channel has.

    Ioffe and Szegedy, Batch Normalization, §3, with the sums of the gradient over all ranks as well.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Any:
        mean, variance, count = _statistics(x)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.count, ctx.eps, ctx.has_bias = count, eps, bias is not None
        out = F.batch_norm(x, mean, variance, weight, bias, eps=eps)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> Any:
        x, weight, mean, variance = ctx.saved_tensors
        axes, shape = _axes(x)
        scale = (variance + ctx.eps).rsqrt().view(shape)
        normal = (x - mean.view(shape)) * scale
        own = torch.stack([gradient.sum(axes), (gradient * normal).sum(axes)])
        sums = own.clone()
        distributed.all_reduce(sums)
        through = gradient - (sums[0].view(shape) + normal * sums[1].view(shape)) / ctx.count
        along = through * scale if weight is None else through * scale * weight.view(shape)
        return along, None if weight is None else own[1], own[0] if ctx.has_bias else None, None


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean [C] and variance [C] over all ranks, and the number of values that a channel has in all."""
    axes, _ = _axes(x)
    variance, mean = torch.var_mean(x, axes, correction=0)
    own = torch.stack([mean, variance, torch.full_like(mean, x.numel() / x.shape[1])])
    all_ranks = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(all_ranks, own)
    means, variances, counts = torch.stack(all_ranks, dim=1).double()  # [R, C] each
    total = counts.sum(0)
    mean = (means * counts).sum(0) / total
    # What varies within the ranks, and what between them.
    variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
    return mean.to(x.dtype), variance.to(x.dtype), float(total[0])


def _axes(x: Tensor) -> tuple[list[int], list[int]]:
    """Return all axes except the channels', and the shape that broadcasts one value per channel."""
    return [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
