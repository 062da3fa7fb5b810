"""A trained network that predicts, by the same code as the test pass, whatever form it was loaded from.

Letters: `B` images, `K` classes, `H`, `W` an image.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsweep import builders
from segsweep.config import groups as config_files
from segsweep.errors import OptionError
from segsweep.evaluation.predictor import Map, NetworkAt, Predictor
from segsweep.evaluation.strategies import Strategy
from segsweep.inference.description import Description
from segsweep.inference.image_input import Pictured, as_array
from segsweep.inference.prediction import Prediction
from segsweep.networks.folding import folded
from segsweep.networks.segmenter import Network

SINGLE = "single"


class Trained:
    """A trained network in use.

    Attributes:
        description: what is known of it.
        device: where it computes.
        network_at: gives the network at an output stride (None: the one that it was trained at).
        folded_at: gives it as the evaluator asks for it, with BatchNorm folded into convolutions.
        images: gives images [H, W, 3] that it was made for, none if they are not known.

    Args:
        description, device, images: see above.
        network_at: is called once for each output stride; a form that has one alone raises ConfigError for
            others.
    """

    def __init__(
        self,
        description: Description,
        network_at: NetworkAt,
        device: torch.device,
        images: Callable[[], Sequence[Map]] = tuple,
    ) -> None:
        self.description, self.device, self.images = description, device, images
        self.network_at: NetworkAt = cache(lambda stride: network_at(stride).eval().to(device))
        self.folded_at: NetworkAt = cache(lambda stride: folded(self.network_at(stride)))
        self._predictors: dict[str, Predictor] = {}

    @cached_property
    def network(self) -> Network:
        """Image [B, 3, H, W] with values 0..255 → logits [B, K, H, W]."""
        return self.network_at(None)

    def __repr__(self) -> str:
        what = self.description
        return f"Trained({what.name}, run {what.run}, {len(what.classes)} classes, on {self.device})"

    def predictor(self, *strategies: Strategy) -> Predictor:
        """Return the evaluator's predictor of this network under strategies, for many images."""
        return Predictor(self.folded_at, strategies, self.description.num_classes, self.device)

    def label(
        self, images: Sequence[Map], strategy: Strategy, probabilities: bool = False
    ) -> list[tuple[Map, NDArray[np.float32] | None]]:
        """Return the classes [H, W] of images [H, W, 3] of one size, with probabilities [K, H, W] if wanted.

        What is made for a strategy is kept for the next images; equal names are equal settings.
        """
        name = strategy.name
        if name not in self._predictors:
            self._predictors[name] = self.predictor(strategy)
        with self._predictors[name].in_evaluation_mode():
            found = self._predictors[name].predict(images, probabilities)
        scores = [kept.get(name) for kept in found.probabilities()]
        return list(zip([maps[name] for maps in found.maps()], scores, strict=True))

    def predict(
        self, image: Pictured, test: str | Strategy = SINGLE, probabilities: bool = False
    ) -> Prediction:
        """Predict the classes of one image, at its own size.

        Args:
            image: a file, a PIL image, uint8 [H, W, 3], or a uint8 tensor [3, H, W]; RGB.
            test: a strategy, or the name of one: single, flip, ms, ms_flip, slide, or one of your own.
            probabilities: keep those of all classes too, 4 K bytes a pixel.

        Raises:
            DataError: the file cannot be read.
            OptionError: it is no image, or there is no such strategy.
        """
        strategy = test if isinstance(test, Strategy) else strategy_of(test, self.description.size)
        array = as_array(image)
        ((labels, scores),) = self.label([array], strategy, probabilities)
        return Prediction(array, labels, scores, self.description)


def strategy_of(name: str, size: tuple[int, ...]) -> Strategy:
    """Return the strategy that `test=NAME` chooses, for a training crop of `size` (height, width).

    Raises:
        OptionError: there is none of this name.
    """
    known = config_files.choices("test")
    if name not in known:
        raise OptionError("test", name, problem="no such test strategy", near=known)
    ((key, node),) = config_files.read(dict(config_files.files("test"))[name]).items()
    filled = {option: list(size) if value == "${size}" else value for option, value in node.items()}
    strategy: Strategy = _built({key: filled}, key)
    return strategy


def _built(config: Mapping[str, Any], key: str) -> Any:
    with builders.options_of("test"):
        return builders.build(config, key)
