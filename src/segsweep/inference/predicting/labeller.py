"""A network under one test strategy, and how it sees images that are too large for it.

Letters: `K` classes, `H`, `W` an image.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.evaluation.strategies import Strategy
from segsweep.inference.predicting.memory import bytes_per_pixel, windowed
from segsweep.inference.trained import Trained

Map = NDArray[np.uint8]
Size = tuple[int, int]


class Labeller:
    """A network under one strategy, that sees large images through windows.

    Args:
        trained: the network.
        strategy: without windows of its own, if images may be too large to be seen whole.
        memory: bytes that the network's maps may take; None for the strategy as it is.
        batch_size: how many images it is given at once, at most.
    """

    def __init__(
        self, trained: Trained, strategy: Strategy, memory: float | None = None, batch_size: int = 1
    ) -> None:
        self.trained, self.strategy, self.batch_size = trained, strategy, batch_size
        # A user's own strategy decides itself what it sees.
        self.memory = None if strategy.window or type(strategy) is not Strategy else memory

    @cached_property
    def _pixels(self) -> float:
        """How many pixels the network may see at once."""
        network = self.trained.network_at(self.strategy.output_stride)
        each = bytes_per_pixel(network.logits, self.trained.device)
        return (self.memory or float("inf")) / each / self.batch_size

    def settings(self) -> dict[str, Any]:
        """Return what its labels depend on besides the network, as plain values."""
        return {
            "strategy": self.strategy.settings(),
            "memory": self.memory,
            "batch_size": self.batch_size,
            "device": self.trained.device.type,
        }

    def strategy_for(self, size: Size) -> Strategy:
        """Return the strategy by which an image of (H, W) is seen."""
        return self.strategy if self.memory is None else windowed(self.strategy, size, self._pixels)

    def remarks(self, size: Size) -> tuple[str, ...]:
        """Return what is to be said of how an image of (H, W) is seen."""
        window = self.strategy_for(size).window
        if self.memory is None or window is None:
            return ()
        remedy = f"memory={self.memory / 2**30:g} would not hold its maps, window=null sees it whole"
        return (f"{size[0]}x{size[1]} pixels: seen through windows of {window[0]}x{window[1]} ({remedy})",)

    def __call__(
        self, images: Sequence[Map], probabilities: bool
    ) -> list[tuple[Map, NDArray[np.float32] | None]]:
        """Return the classes [H, W] of images of one size, with their probabilities [K, H, W] if wanted."""
        strategy = self.strategy_for((images[0].shape[0], images[0].shape[1]))
        return self.trained.label(images, strategy, probabilities)
