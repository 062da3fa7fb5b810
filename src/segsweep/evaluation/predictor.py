"""From an image to every strategy's prediction, each view of it computed once.

A strategy's views are added up in their one canonical order, whoever else asks for them: its result is
bit-identical whether it runs alone or beside others.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsweep.errors import ConfigError
from segsweep.evaluation.strategies import Strategy, View

Map = NDArray[np.uint8]
NetworkAt = Callable[[int | None], nn.Module]


class Predictor:
    """A segmenter under some test strategies.

    Args:
        network_at: gives the segmenter at an output stride (None: its own); called once for each.
        strategies: with different names.
        device: on which the views are computed; the segmenters are moved to it.

    Raises:
        ConfigError: no strategy, one without a view, or two of one name.
    """

    def __init__(
        self, network_at: NetworkAt, strategies: Iterable[Strategy], device: torch.device | str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.views = _views_by_name(list(strategies))
        self.order = sorted({view for views in self.views.values() for view in views})
        strides = sorted({view.output_stride for view in self.order}, key=lambda stride: stride or 0)
        self.networks = {stride: network_at(stride).to(self.device) for stride in strides}

    @torch.inference_mode()
    def scores(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, Tensor]]:
        """Each strategy's name and scores [1, K, H, W] of an image [H, W, 3], once its last view is seen.

        Scores are mean probabilities. A strategy of one view keeps its logits, which have the same
        largest class and spare a softmax as dear as the last layers of a small network.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        batch = pixels.permute(2, 0, 1)[None].float()
        sums: dict[str, Tensor] = {}
        for view in self.order:
            logits = view.logits(self.networks[view.output_stride], batch)
            askers = [name for name, views in self.views.items() if view in views]
            averaging = [name for name in askers if len(self.views[name]) > 1]
            probabilities = logits.softmax(1) if averaging else logits
            for name in askers:
                if name not in averaging:
                    yield name, logits
                    continue
                sums[name] = _added(sums.get(name), probabilities, first=view == self.views[name][0])
                if view == self.views[name][-1]:
                    yield name, sums.pop(name).div_(len(self.views[name]))

    def __call__(self, image: NDArray[np.uint8]) -> dict[str, Map]:
        """Each strategy's prediction, class indices uint8 [H, W], of an RGB image uint8 [H, W, 3]."""
        return {name: largest(scores[0]) for name, scores in self.scores(image)}

    @contextmanager
    def testing(self) -> Iterator["Predictor"]:
        """Networks in evaluation mode and cuDNN deterministic, all given back as it was afterwards."""
        modules = [module for network in self.networks.values() for module in network.modules()]
        # Module by module: a frozen BatchNorm inside a network in training stays frozen.
        modes = [(module, module.training) for module in modules]
        cudnn = torch.backends.cudnn
        flags = cudnn.benchmark, cudnn.deterministic
        try:
            cudnn.benchmark, cudnn.deterministic = False, True
            for network in self.networks.values():
                network.eval()
            yield self
        finally:
            cudnn.benchmark, cudnn.deterministic = flags
            for module, mode in modes:
                module.training = mode


def _views_by_name(strategies: Sequence[Strategy]) -> dict[str, list[View]]:
    views: dict[str, list[View]] = {}
    for strategy in strategies:
        if strategy.name in views:
            raise ConfigError(f"test strategies: two are named {strategy.name!r}: keep one of them")
        views[strategy.name] = sorted(set(strategy.views()))
        if not views[strategy.name]:
            raise ConfigError(f"test strategies: {strategy.name!r} has no views: expected at least one")
    if not views:
        raise ConfigError("test strategies: none given: expected at least one, as test=[single]")
    return views


def _added(total: Tensor | None, probabilities: Tensor, first: bool) -> Tensor:
    """The running sum; the first view's tensor is cloned, for other strategies add to theirs too."""
    if first or total is None:
        return probabilities.clone()
    return total.add_(probabilities)


def largest(scores: Tensor) -> Map:
    """Index of the largest score of each pixel, scores [K, H, W], uint8 [H, W]; the first of equals.

    On a CPU torch's reduction over channels takes as long as the last layers of a small network; class by
    class over whole maps is some ten times faster.
    """
    if scores.device.type != "cpu":
        return np.asarray(scores.argmax(0).to(torch.uint8).cpu().numpy())
    maps = scores.numpy()
    best, index = maps[0].copy(), np.zeros(maps.shape[1:], np.uint8)
    for k in range(1, len(maps)):
        higher = np.asarray(cv2.compare(maps[k], best, cv2.CMP_GT))
        np.maximum(index, np.minimum(higher, k), out=index)
        np.maximum(best, maps[k], out=best)
    return index
