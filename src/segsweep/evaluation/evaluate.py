"""The test pass: every image once, at its full size, under all strategies, into counts.

Each view of an image is computed once for all strategies that have it. A strategy adds up its views in one
canonical order, whoever else asks for them: its result is bit-identical alone and beside others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsweep.data.loading import Loader, start_worker
from segsweep.data.sample import Sample
from segsweep.data.split import SplitDataset
from segsweep.errors import ConfigError, DataError, OptionError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.histogram import truth_parts
from segsweep.evaluation.strategies import Strategy, View

Map = NDArray[np.uint8]
NetworkAt = Callable[[int | None], nn.Module]
OnImage = Callable[[Sample, Mapping[str, Map]], None]


def evaluate(
    network_at: NetworkAt,
    samples: SplitDataset,
    strategies: Iterable[Strategy],
    num_classes: int,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    on_image: OnImage | None = None,
    indices: Sequence[int] | None = None,
) -> dict[str, Counts]:
    """Count each strategy's right and wrong pixels over the samples.

    Args:
        network_at: gives the segmenter at an output stride (None: its own), called once for each.
        samples: images [H, W, 3] with labels [H, W] of the same size.
        strategies: views that they have in common are computed once.
        num_classes: K of the labels and of the segmenter.
        device: the device on which the network runs.
        num_workers: processes that read samples ahead.
        on_image: called with each sample and its predictions uint8 [H, W] by strategy name.
        indices: the samples to evaluate, for a rank `range(rank, len(samples), world_size)`; None for all.

    Returns:
        Counts by strategy name, in the strategies' order; use `Counts.merge` on those of several ranks.

    Raises:
        ConfigError: two strategies have one name, or the segmenter has another number of classes.
        DataError: a sample's label is not of its image's size or holds a value that is not a class.
    """
    predictor = Predictor(network_at, strategies, device)
    counts = {name: Counts(num_classes) for name in predictor.views}
    chosen = range(len(samples)) if indices is None else indices
    with predictor.in_evaluation_mode():
        for sample in _loader(samples, chosen, num_workers):
            image, label = sample.image.shape[:2], sample.label.shape
            if image != label:
                raise DataError(
                    sample.id,
                    f"image of {image} and label of {label} [H, W]: expected one size",
                    "figures are of whole images at their labels' resolution",
                )
            predictions = {}
            for name, scores in predictor.scores(sample.image):
                if scores.shape[1] != num_classes:
                    raise OptionError(
                        "num_classes",
                        problem=f"the network gives {scores.shape[1]} classes, the dataset has {num_classes}",
                        remedy="test a network on the classes that it was trained for",
                    )
                predictions[name] = largest(scores[0])
            parts = truth_parts(sample.label)
            for name, prediction in predictions.items():
                counts[name].update(sample.id, prediction, sample.label, parts)
            if on_image is not None:
                on_image(sample, predictions)
    return counts


def _loader(samples: SplitDataset, indices: Sequence[int], num_workers: int) -> Iterable[Sample]:
    as_it_is: Any = _as_it_is  # typed for lists of samples, called with one if there are no batches
    loader: Any = Loader(
        samples,
        batch_size=None,
        sampler=list(indices),
        num_workers=num_workers,
        collate_fn=as_it_is,
        worker_init_fn=start_worker,
        # A generator of its own: evaluation must not change the random state of the process.
        generator=torch.Generator(),
    )
    return loader  # type: ignore[no-any-return]


def _as_it_is(sample: Sample) -> Sample:
    return sample


class Predictor:
    """A segmenter under some test strategies.

    Args:
        network_at: gives the segmenter at an output stride (None: its own); called once for each.
        strategies: with different names.
        device: the device on which views are computed; the segmenters are moved to it.

    Raises:
        ConfigError: no strategy, one without a view, or two of one name.
    """

    def __init__(
        self, network_at: NetworkAt, strategies: Iterable[Strategy], device: torch.device | str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.views: dict[str, list[View]] = {}
        for strategy in strategies:
            if strategy.name in self.views:
                raise ConfigError(f"test strategies: two are named {strategy.name!r}: keep one of them")
            self.views[strategy.name] = sorted(set(strategy.views()))
            if not self.views[strategy.name]:
                raise ConfigError(f"test strategies: {strategy.name!r} has no views: expected at least one")
        if not self.views:
            raise ConfigError("test strategies: none given: expected at least one, as test=[single]")
        self.order = sorted({view for views in self.views.values() for view in views})
        strides = sorted({view.output_stride for view in self.order}, key=lambda stride: stride or 0)
        self.networks = {stride: network_at(stride).to(self.device) for stride in strides}

    @torch.inference_mode()
    def scores(self, image: Map) -> Iterator[tuple[str, Tensor]]:
        """Yield each strategy's name and scores [1, K, H, W] of an image [H, W, 3], after its last view.

        Scores are mean probabilities. A strategy of one view keeps its logits, which have the same largest
        class and save a softmax that costs as much as the last layers of a small network.
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
                # The first view's tensor is cloned, as other strategies add to theirs too.
                total = sums.get(name)
                sums[name] = probabilities.clone() if total is None else total.add_(probabilities)
                if view == self.views[name][-1]:
                    yield name, sums.pop(name).div_(len(self.views[name]))

    @contextmanager
    def in_evaluation_mode(self) -> Iterator[None]:
        """Put networks into evaluation mode and make cuDNN deterministic; restore both afterwards."""
        modules = [module for network in self.networks.values() for module in network.modules()]
        # Module by module: a frozen BatchNorm inside a network in training stays frozen.
        modes = [(module, module.training) for module in modules]
        cudnn = torch.backends.cudnn
        flags = cudnn.benchmark, cudnn.deterministic
        try:
            cudnn.benchmark, cudnn.deterministic = False, True
            for network in self.networks.values():
                network.eval()
            yield
        finally:
            cudnn.benchmark, cudnn.deterministic = flags
            for module, mode in modes:
                module.training = mode


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
