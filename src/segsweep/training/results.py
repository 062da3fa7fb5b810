"""What a run has to show at its end. Each service of a logger shows of it what it can.

`K` classes, `H W` an image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """An image [H, W, 3] with label maps [H, W] by what they are: truth, prediction, a test's name.

    `figures` are of this image alone, by name.
    """

    name: str
    image: NDArray[np.uint8]
    maps: Mapping[str, NDArray[Any]]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """One test: figures of each class, and the confusion matrix int64 [K, K], rows truth."""

    name: str
    classes: Mapping[str, Mapping[str, float | None]]
    confusion: NDArray[np.int64]


@dataclass(frozen=True)
class Weights:
    """A run's final checkpoint."""

    run: str
    file: Path


@dataclass(frozen=True)
class Results:
    """The figures of a run by name, its tests, a few test images, its weights and those it began with."""

    figures: Mapping[str, float]
    evaluations: tuple[Evaluation, ...] = ()
    pictures: tuple[Picture, ...] = ()
    weights: Weights | None = None
    parent: Weights | None = None
