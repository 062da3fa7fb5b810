"""The operation the KSAC paper is about: one 3×3 kernel that all atrous rates share.

Sharing works by naming: there is a single parameter K, and each rate convolves the same input with it at
its own dilation. A rate owns nothing but its BatchNorm, so the number of convolution weights does not
depend on how many rates there are, and K receives the sum of the rates' gradients: every object trains
it, whichever rate sees that object best (paper §3.2).

The paper computes a convolution for each rate. As all of them multiply the same input with the same kernel,
one product serves them all (shifted_adds.py; on a GPU shared_kernel_gpu.py), and five rates cost little more
than one.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.networks import shifted_adds
from segsweep.networks.shared_kernel_gpu import folded, gpu_maps, is_affine
from segsweep.networks.shared_kernel_triton import available
from segsweep.networks.shifted_adds import SharedProduct, traced_maps
from segsweep.networks.tracing import is_exported, is_traced
from segsweep.rules import IMPLEMENTATIONS


def shared_atrous_conv2d(x: Tensor, weight: Tensor, rates: Sequence[int]) -> list[Tensor]:
    """Convolve x [B, C, H, W] with one kernel [D, C, 3, 3] at each rate, by one product for all of them.

    Returns R maps [B, D, H, W], channels last, in the order of `rates`: those of `F.conv2d` with padding and
    dilation of the rate, to rounding. Taps that lie outside the map for each rate are not computed. Under
    autocast the product has its precision. Gradients are exact; a second derivative is an error, except in
    a compiled or exported program, where torch's own operators do the same.
    """
    x, weight = as_autocast(x), as_autocast(weight)
    if is_traced():
        return traced_maps(x, weight, rates)
    maps: tuple[Tensor, ...] = SharedProduct.apply(x, weight, tuple(rates))  # type: ignore[no-untyped-call]
    return list(maps)


def as_autocast(x: Tensor) -> Tensor:
    """Return a tensor in the precision in which autocast would convolve it."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def branches(x: Tensor, weight: Tensor, rates: Sequence[int]) -> list[Tensor]:
    """Return the same maps by a convolution for each rate, as in the paper's Algorithm 1."""
    return [F.conv2d(x, weight, padding=rate, dilation=rate) for rate in rates]


def shares_product(x: Tensor, rates: Sequence[int]) -> bool:
    """Whether one product for all rates is the faster way: the rule of `impl=auto`.

    The product saves the multiplications of all rates but one; against that stand the shifted sums, and taps
    that pass through memory. Measured on a CPU (docs/performance.md), the product wins if it saves those of
    256 channels, or of 512 on maps below 256 cells. On a GPU it wins from two rates on, since dilated
    convolutions train slowly there, if Triton can be used.

    Other devices and exported programs keep the branches: on torch's meta device a network's size is that of
    the paper's definition, and other runtimes have fast dilated convolutions.
    """
    if x.device.type not in ("cpu", "cuda") or is_exported():
        return False
    if x.is_cuda:
        return len(rates) > 1 and available(x)
    saved = (len(rates) - 1) * x.shape[1]
    return saved >= (256 if x.shape[2] * x.shape[3] >= 256 else 512)


class SharedAtrousConv(nn.Module):
    """Algorithm 1 of the KSAC paper: ReLU(BN_r(conv(x, K, dilation r))) for each rate r, and their sum.

    K is [out_channels, channels, 3, 3] without bias.

    Args:
        channels: of the input.
        out_channels: of each map.
        rates: atrous rates, any number.
        fuse: `sum` (Algorithm 1), or `concat`: the maps are given back one by one (a reading of Fig. 4).
        impl: `shared` (one product for all rates), `branches` (a convolution for each) or `auto`, whichever
            is faster (`shares_product`). The results differ by rounding.
    """

    def __init__(
        self, channels: int, out_channels: int, rates: Sequence[int], fuse: str = "concat", impl: str = "auto"
    ) -> None:
        super().__init__()
        IMPLEMENTATIONS.check("impl", impl)
        self.rates, self.fuse, self.impl = tuple(rates), fuse, impl
        self.kernel = nn.Parameter(torch.empty(out_channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.kernel, mode="fan_out", nonlinearity="relu")
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in self.rates)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] → one map [B, out_channels, H, W], the sum, or R maps in the order of `rates`."""
        if self._shares(x) and available(x) and not is_exported():
            return gpu_maps(as_autocast(x), self.kernel, self.rates, self._batch_norms, self.fuse == "sum")
        if self._in_one_pass(x):
            return [self._summed(x)]
        maps = self.maps(x)
        return [reduce(torch.add, maps)] if self.fuse == "sum" else maps

    def maps(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] → R maps [B, out_channels, H, W] after BatchNorm and ReLU, in the order of `rates`."""
        convolve = shared_atrous_conv2d if self._shares(x) else branches
        found = convolve(x, self.kernel, self.rates)
        return [F.relu(norm(map), inplace=True) for norm, map in zip(self.norms, found, strict=True)]

    @property
    def _batch_norms(self) -> list[Any]:
        return list(self.norms)

    def _shares(self, x: Tensor) -> bool:
        return shares_product(x, self.rates) if self.impl == "auto" else self.impl == "shared"

    def _in_one_pass(self, x: Tensor) -> bool:
        """Whether only the sum need be written: in inference, if BatchNorm is a scale and a shift."""
        plain = not torch.is_grad_enabled() and not is_traced() and self.fuse == "sum"
        return plain and all(map(is_affine, self._batch_norms)) and self._shares(x)

    def _summed(self, x: Tensor) -> Tensor:
        """Return Σ_r ReLU(BN_r(map_r)), some images at a time, each map while it is in the cache."""
        x = as_autocast(x).contiguous(memory_format=torch.channels_last)
        total = x.new_empty(len(x), *x.shape[2:], len(self.kernel), dtype=shifted_adds.exact(x))
        scales, biases = (rows.to(total.dtype) for rows in folded(self._batch_norms))
        sums = shifted_adds.kept_sums_of_taps(self.rates, *x.shape[2:])
        weight, most = self.kernel.to(x.dtype), shifted_adds.CHUNK
        for (images, _, channels), maps in shifted_adds.maps_in_parts(x, weight, self.rates, sums, most):
            normed = maps.to(total.dtype)
            torch.addcmul(biases[:, channels], normed, scales[:, channels], out=normed).clamp_min_(0)
            torch.sum(normed, 3, out=total[images, ..., channels])
        return total.to(x.dtype).permute(0, 3, 1, 2)
