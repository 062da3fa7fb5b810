"""What statistics are computed from: counts of a configuration under one test, for each seed and image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Counts of the runs of one configuration, which differ in their seeds, over the same images.

    Attributes:
        seeds: names of the S seeds; seeds of two configurations are pairs if their names are equal.
        counts: int64 [S, N, 6, K], images in the order of their names for all configurations.
    """

    seeds: tuple[str, ...]
    counts: Integers

    def __post_init__(self) -> None:
        if self.counts.ndim != 4 or len(self.counts) != len(self.seeds) or self.counts.shape[2] != 6:
            raise ValueError(f"counts of {self.counts.shape} for {len(self.seeds)} seeds, not [S, N, 6, K]")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or not self.images:
            raise ValueError(f"seeds {self.seeds} over {self.images} images: need one at least, each once")

    @property
    def images(self) -> int:
        """N."""
        return int(self.counts.shape[1])

    def of(self, seeds: Sequence[str]) -> "Measured":
        """Return the runs with these seeds, in this order."""
        if tuple(seeds) == self.seeds:
            return self
        return Measured(tuple(seeds), self.counts[[self.seeds.index(seed) for seed in seeds]])
