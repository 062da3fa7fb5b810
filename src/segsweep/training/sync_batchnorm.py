"""BatchNorm over the images of all ranks, for devices with too few images each.

torch's own layer works on GPUs only, and its conversion replaces layers, which loses the activation inside
timm's layers and which layers are frozen. Here layers stay and change their class.

Shape letters: `B` images, `C` channels, `R` ranks.
"""

from typing import Any, cast

import torch
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

ENOUGH = 16  # images that are enough for one device's statistics (KSAC, §4.1: at least 16 for BatchNorm)


def synchronises(option: bool | str, world: int, images: int) -> bool:
    """Return whether `trainer.sync_batchnorm` applies to `world` ranks of `images` each."""
    return world > 1 and (images < ENOUGH if option == "auto" else bool(option))


def synchronise(network: nn.Module, on_gpu: bool) -> None:
    """Make every BatchNorm of a network use statistics over all ranks in training."""
    on_cpu = CpuSyncBatchNorm, CpuSyncBatchNormAct
    plain, with_act = (nn.SyncBatchNorm, SyncBatchNormAct) if on_gpu else on_cpu
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = with_act if isinstance(module, BatchNormAct2d) else plain
            cast(Any, module).process_group = None


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """torch's SyncBatchNorm over gloo."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, …] with statistics over all ranks; in evaluation with running ones."""
        if not self.training:
            return super().forward(x)
        normalise: Any = _Normalise.apply
        out, mean, variance, count = normalise(x, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._track(mean, variance * (count / (count - 1)))
        return cast(Tensor, out)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of axes, as torch's layer does."""

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class CpuSyncBatchNormAct(CpuSyncBatchNorm):
    """The same for timm's BatchNorm, which contains the activation."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, H, W] and activate."""
        out: Tensor = self.act(self.drop(super().forward(x)))
        return out


class _Normalise(Function):
    """Normalise x [B, C, …] over all ranks; also return mean [C], variance [C] and the values per channel.

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
    """Return mean [C] and variance [C] over all ranks, and the total number of values per channel."""
    axes, _ = _axes(x)
    variance, mean = torch.var_mean(x, axes, correction=0)
    own = torch.stack([mean, variance, torch.full_like(mean, x.numel() / x.shape[1])])
    all_ranks = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(all_ranks, own)
    means, variances, counts = torch.stack(all_ranks, dim=1).double()  # [R, C] each
    total = counts.sum(0)
    mean = (means * counts).sum(0) / total
    # Variance within ranks plus variance between them.
    variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
    return mean.to(x.dtype), variance.to(x.dtype), float(total[0])


def _axes(x: Tensor) -> tuple[list[int], list[int]]:
    """Return all axes except the channels', and the shape that broadcasts one value per channel."""
    return [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
