"""Maps inside a trained network: what each atrous rate of its head gives, and the logits at their own stride.

Letters: `C` channels, `K` classes, `H W` an image, `h w` a map.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.networks.heads.aspp import AtrousPyramid
from segsweep.networks.shared_kernel import SharedAtrousConv
from segsweep.reports.pictures.trained_run import TrainedRun


def maps_by_rate(one: TrainedRun, image: NDArray[np.uint8]) -> dict[int, NDArray[np.float32]]:
    """Return the maps [C, h, w] of each atrous rate of ASPP or KSAC, after BatchNorm and ReLU.

    ASPP's are its branches' outputs; KSAC's are computed once more, as its sum may be all that it writes.

    Raises:
        ConfigError: the network has no atrous rate.
    """
    branches: dict[int, nn.Module] = {}
    found: dict[int, Tensor] = {}
    kept = []
    for module in one.network.modules():
        if isinstance(module, SharedAtrousConv):
            kept.append(module.register_forward_hook(_keep_all(found)))
        elif isinstance(module, AtrousPyramid):
            branches |= {_dilation(branch): branch for branch in module.atrous}
    kept += [branch.register_forward_hook(_keep(rate, found)) for rate, branch in branches.items()]
    try:
        logits(one, image)
    finally:
        for hook in kept:
            hook.remove()
    if not found:
        raise ConfigError(f"run {one.run.id}: {one.head} has no atrous rates: give a run with head.rates")
    return {rate: maps[0].float().cpu().numpy() for rate, maps in found.items()}


def logits(one: TrainedRun, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits [K, h, w] of an image [H, W, 3] at the network's own stride."""
    device = next(one.network.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None]
    with torch.inference_mode():
        output: Tensor = one.network.logits(pixels)
    return np.asarray(output[0].float().cpu().numpy())


def _keep(rate: int, found: dict[int, Tensor]) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        found[rate] = output.clone()

    return hook


def _keep_all(found: dict[int, Tensor]) -> Any:
    def hook(module: SharedAtrousConv, inputs: tuple[Tensor], output: Any) -> None:
        # The module may write the sum alone.
        found.update(zip(module.rates, module.maps(*inputs), strict=True))

    return hook


def _dilation(branch: nn.Module) -> int:
    """Return the atrous rate of a branch: that of its 3×3 convolution."""
    return next(int(m.dilation[0]) for m in branch.modules() if isinstance(m, nn.Conv2d))
