"""A network under test strategies: which class it predicts for each pixel of an image.

Each view of an image is computed once for all strategies that have it. A strategy adds up its views in one
canonical order, whoever else asks for them: its result is bit-identical alone and beside others.

Nothing but the result is as large as the image: scores are made, averaged and compared in bands of rows,
from the coarse logits of all views. On a CPU a band fits into the cache, which is faster too.

Shape letters: `B` images of one size, `K` classes, `H W` their size.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import ConfigError, OptionError
from segsweep.evaluation.strategies import Strategy
from segsweep.evaluation.views import Pair, RowsOfLogits, View, centre
from segsweep.networks.segmenter import Network

Map = NDArray[np.uint8]
NetworkAt = Callable[[int | None], Network]
OtherAt = Callable[[str, int | None], Network]

BAND_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}  # of scores in a band: a core's cache; few kernels to launch
LEAST_ROWS = 16  # of a band: below, calls cost more than a cache gains


class Predictor:
    """A segmenter under some test strategies.

    Args:
        network_at: gives the segmenter at an output stride (None: its own); called once for each.
        strategies: with different names.
        num_classes: K.
        device: the device on which views are computed; the segmenters are moved to it.
        other_at: gives another run's segmenter, by its id and output stride, for ensembles.

    Raises:
        ConfigError: no strategy, one without a view, two of one name, or an ensemble without `other_at`.
    """

    def __init__(
        self,
        network_at: NetworkAt,
        strategies: Iterable[Strategy],
        num_classes: int,
        device: torch.device | str = "cpu",
        other_at: OtherAt | None = None,
    ) -> None:
        self.device, self.num_classes = torch.device(device), num_classes
        self.views: dict[str, list[View]] = {}
        for strategy in strategies:
            if strategy.name in self.views:
                raise ConfigError(f"test strategies: two are named {strategy.name!r}: keep one of them")
            self.views[strategy.name] = sorted(set(strategy.views()))
            if len(crops := {view.crop for view in strategy.views()}) != 1:
                found = "views of several crops" if crops else "no views"
                raise ConfigError(
                    f"test strategies: {strategy.name!r} has {found}: expected some of one crop"
                )
        if not self.views:
            raise ConfigError("test strategies: none given: expected at least one, as test=[single]")
        self.order = sorted({view for views in self.views.values() for view in views})
        self.crops = list(dict.fromkeys(view.crop for view in self.order))
        one_of_each = {view.network: view for view in self.order}
        self.networks = {
            key: _network_of(view, network_at, other_at).to(self.device)
            for key, view in sorted(one_of_each.items())
        }
        for network in self.networks.values():
            # As the images are, whose bytes come pixel by pixel: faster on CPUs and GPUs alike.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's, untyped

    @torch.inference_mode()
    def predict(self, images: Sequence[Map], probabilities: bool = False) -> "Predictions":
        """Predict images [H, W, 3] of one size; on a GPU the call returns before the work is done.

        With `probabilities` those of all classes are kept too, 4 K bytes a pixel.

        Raises:
            OptionError: the segmenter has another number of classes.
        """
        pixels = torch.from_numpy(np.stack(images))
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()
        batch = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float()
        logits = {view: view.logits(self.networks[view.network], batch) for view in self.order}
        self._check_classes({rows.classes for rows in logits.values()})
        height, width = images[0].shape[:2]
        found = (self._predicted(logits, i, (height, width), probabilities) for i in range(len(images)))
        return Predictions(list(found))

    def _check_classes(self, found: set[int]) -> None:
        if wrong := found - {self.num_classes}:
            raise OptionError(
                "num_classes",
                problem=f"the network gives {min(wrong)} classes, the dataset has {self.num_classes}",
                remedy="test a network on the classes that it was trained for",
            )

    def _predicted(
        self, logits: Mapping[View, RowsOfLogits], index: int, size: Pair, probabilities: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return one image's classes by strategy name, uint8 [H, W] on the device, and its probabilities.

        These are float32 [K, H, W] by strategy name; none unless they are asked for. What a strategy does not
        see is ignored (255), with probabilities of 0.
        """
        maps = {name: self._filled(size, IGNORE_INDEX, torch.uint8) for name in self.views}
        shape = (self.num_classes, *size)
        kept = {name: self._filled(shape, 0, torch.float32) for name in self.views if probabilities}
        for crop in self.crops:
            views, seen = [view for view in self.order if view.crop == crop], centre(size, crop)
            for start, stop in self._bands(logits[views[0]].size):
                rows = ((view, logits[view].rows(index, start, stop)) for view in views)
                for name, scores in self._scores(rows):
                    maps[name][seen][start:stop] = largest(scores[0])
                    if probabilities:
                        averaged = len(self.views[name]) > 1
                        kept[name][:, *seen][:, start:stop] = scores[0] if averaged else scores[0].softmax(0)
        return maps, kept

    def _filled(self, shape: Sequence[int], value: int, dtype: torch.dtype) -> Tensor:
        return torch.full(tuple(shape), value, dtype=dtype, device=self.device)

    def _bands(self, size: Pair) -> Iterator[tuple[int, int]]:
        """Yield the first row of each band, and the row after its last."""
        height, width = size
        band = max(LEAST_ROWS, BAND_BYTES[self.device.type] // (4 * self.num_classes * width))
        return ((start, min(start + band, height)) for start in range(0, height, band))

    def _scores(self, views: Iterable[tuple[View, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """Yield each strategy's name and scores [1, K, H, W], after its last view.

        Scores are mean probabilities. A strategy of one view keeps its logits, which have the same largest
        class and save a softmax that costs as much as the last layers of a small network.
        """
        sums: dict[str, Tensor] = {}
        for view, logits in views:
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


def _network_of(view: View, network_at: NetworkAt, other_at: OtherAt | None) -> Network:
    if view.run is None:
        return network_at(view.output_stride)
    if other_at is None:
        raise OptionError(
            "ensemble",
            view.run,
            problem="only a run in its folder can be averaged with others, and only in a test",
            remedy="use segsweep test RUN",
        )
    return other_at(view.run, view.output_stride)


class Predictions:
    """Predictions under way to the host: of each image classes, and probabilities if they were asked for."""

    def __init__(self, images: Sequence[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]) -> None:
        # In pinned memory, if they come from a GPU: it goes on with other work meanwhile.
        self._maps, self._probabilities = (
            [
                {name: found.to("cpu", non_blocking=True) for name, found in image[kind].items()}
                for image in images
            ]
            for kind in (0, 1)
        )
        self._arrived: torch.cuda.Event | None = None
        if any(found.is_cuda for maps, _ in images for found in maps.values()):
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def maps(self) -> list[dict[str, Map]]:
        """Wait for the classes of all images, uint8 [H, W] by strategy name, and return them."""
        return self._awaited(self._maps)

    def probabilities(self) -> list[dict[str, NDArray[np.float32]]]:
        """Wait for the probabilities of all images, float32 [K, H, W] by strategy name, and return them."""
        return self._awaited(self._probabilities)

    def _awaited(self, images: Sequence[Mapping[str, Tensor]]) -> list[dict[str, NDArray[Any]]]:
        if self._arrived is not None:
            self._arrived.synchronize()
        return [{name: found.numpy() for name, found in maps.items()} for maps in images]


def largest(scores: Tensor) -> Tensor:
    """Index of the largest score of each pixel, scores [K, H, W], uint8 [H, W]; the first of equals.

    On a CPU torch's reduction over channels takes as long as the last layers of a small network; class by
    class over whole maps is some ten times faster.
    """
    if scores.device.type != "cpu":
        return scores.argmax(0).to(torch.uint8)
    maps = scores.numpy()
    best, index = maps[0].copy(), np.zeros(maps.shape[1:], np.uint8)
    for k in range(1, len(maps)):
        higher = np.asarray(cv2.compare(maps[k], best, cv2.CMP_GT))
        np.maximum(index, np.minimum(higher, k), out=index)
        np.maximum(best, maps[k], out=best)
    return torch.from_numpy(index)
