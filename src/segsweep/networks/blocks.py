"""The layers that heads are made of."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks.separable_maps import bilinear
from segsweep.networks.tracing import is_exported


class PooledBatchNorm(nn.BatchNorm2d):
    """BatchNorm for 1×1 maps that survives a batch of one.

    The variance of a single value is zero and says nothing, so torch refuses it. But a device batch of one is
    not a mistake: it is normalised with the running statistics, as in evaluation, and leaves them unchanged.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, 1, 1]."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def conv_bn_relu(
    channels: int,
    out_channels: int,
    kernel_size: int = 1,
    rate: int = 1,
    separable: bool = False,
    stride: int = 1,
) -> nn.Sequential:
    """A convolution that keeps the map's size (or, striding, divides it, rounded up), BatchNorm and ReLU.

    With `separable` the k×k convolution becomes a depthwise one at the atrous rate and a 1×1, each with
    BatchNorm and ReLU (DeepLabV3+, §3.1). Convolutions carry no bias, BatchNorm has one.
    """
    if separable and kernel_size > 1:
        depthwise = _conv(channels, channels, kernel_size, rate, stride, groups=channels)
        return nn.Sequential(*depthwise, *_conv(channels, out_channels, 1, 1))
    return nn.Sequential(*_conv(channels, out_channels, kernel_size, rate, stride))


def conv_block(channels: int, width: int, depth: int, separable: bool) -> nn.Sequential:
    """`depth` 3×3 convolutions to `width` channels (Dual ASPP's Fig. 3: 2 separable ones)."""
    sizes = [channels, *[width] * depth]
    return nn.Sequential(*(conv_bn_relu(a, b, 3, separable=separable) for a, b in pairwise(sizes)))


def conv_bn(channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> nn.Sequential:
    """`conv_bn_relu` without ReLU: for maps that are added before theirs."""
    return nn.Sequential(*_conv(channels, out_channels, kernel_size, 1, stride)[:2])


def pooled_conv(channels: int, out_channels: int) -> nn.Sequential:
    """1×1 conv-BN-ReLU for pooled maps, which may be a single value a channel."""
    conv = nn.Conv2d(channels, out_channels, 1, bias=False)
    return nn.Sequential(conv, PooledBatchNorm(out_channels), nn.ReLU(inplace=True))


def _conv(
    channels: int, out_channels: int, kernel_size: int, rate: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    padding = rate * (kernel_size // 2)
    conv = nn.Conv2d(
        channels, out_channels, kernel_size, stride, padding, dilation=rate, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


class ImagePooling(nn.Module):
    """Image-level features: global average, 1×1 conv-BN-ReLU, broadcast back (DeepLabV3, §3.3)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = pooled_conv(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, out_channels, H, W], each channel constant over the map."""
        pooled: Tensor = self.project(x.mean(dim=(2, 3), keepdim=True))
        return pooled.expand(-1, -1, *x.shape[-2:])


def resize(x: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Resize [B, C, H, W] bilinearly to `size` (height, width); pixel centres are aligned, or corners."""
    height, width = size
    # An exported program would be bound to the outcome of the comparison; equal sizes change no value there.
    if not is_exported() and x.shape[-2:] == (height, width):
        return x
    return bilinear(x, (height, width), align_corners)


def halved(x: Tensor) -> Tensor:
    """Return a map or an image [B, C, H, W] at half its size, rounded up."""
    height, width = x.shape[-2:]
    return resize(x, ((height + 1) // 2, (width + 1) // 2))


class Merge(nn.Module):
    """1×1 conv-BN on both maps, the coarse one upsampled, sum, ReLU, 3×3 conv-BN-ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.coarse, self.fine = conv_bn(width, width), conv_bn(channels, width)
        self.refine = conv_bn_relu(width, width, 3)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, width, h, w] and [B, channels, H, W] → [B, width, H, W]."""
        upsampled = resize(self.coarse(coarse), fine.shape[-2:])
        refined: Tensor = self.refine(F.relu(upsampled + self.fine(fine)))
        return refined


class TopDown(nn.Module):
    """Maps merged from coarse to fine: 3×3 conv-BN-ReLU on the coarsest, then `Merge` with each finer one."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.top = conv_bn_relu(channels[-1], width, 3)
        self.merges = nn.ModuleList(Merge(c, width) for c in reversed(channels[:-1]))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of `channels`, finest first → [B, width, h, w] at the finest one's size."""
        x: Tensor = self.top(maps[-1])
        for merge, fine in zip(self.merges, reversed(maps[:-1]), strict=True):
            x = merge(x, fine)
        return x
