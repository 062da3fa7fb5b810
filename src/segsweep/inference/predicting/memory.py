"""How large an image a network may see at once, from the memory that its maps take for each pixel.

Letters: `B` images, `H`, `W` their size.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segsweep.evaluation.strategies import Strategy
from segsweep.evaluation.views import window_starts

Pair = tuple[int, int]
SIDE = 256
"""Pixels of the side of the image for which maps are counted: large enough that padding does not matter."""
STEP, SMALLEST, GRID = 32, 128, range(1, 65)
"""Window sides are the image's or multiples of the first, and never below the second; their number a side."""
UNKNOWN = 512.0
"""Bytes for each pixel of a network that torch does not see, as in ONNX Runtime: twice MobileNetV2's."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Counts the bytes of the tensors that operations make; `peak` is the most that lived at once.

    `has_layers` tells whether convolutions were among the operations.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live, self.peak, self.has_layers = 0, 0, False
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count what it returns, if that is new."""
        made = func(*args, **(kwargs or {}))
        self.has_layers |= "conv" in str(func)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: Any) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        weakref.finalize(storage, self._freed, storage.nbytes())
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)

    def _freed(self, size: int) -> None:
        self.live -= size


@torch.inference_mode()
def bytes_per_pixel(network: Callable[[Tensor], Tensor], device: torch.device) -> float:
    """Return the peak of a network's maps in bytes for each pixel of the image [1, 3, H, W] that it sees.

    It depends on the network alone, not on the machine: the same network has the same windows everywhere.
    """
    with LiveBytes() as counted:
        network(torch.zeros(1, 3, SIDE, SIDE, device=device))
    return counted.peak / SIDE**2 if counted.has_layers else UNKNOWN


def windowed(strategy: Strategy, size: Pair, pixels: float) -> Strategy:
    """Return the strategy for images of (H, W) with windows of at most so many pixels, if they are larger.

    Windows overlap by at least a third, as everywhere, and are at most twice as long as wide, for the sake of
    context. Of the grids that fit, the one is taken in which the network sees the fewest pixels.
    """
    largest = max(strategy.scales)
    height, width = (max(1, round(side * largest)) for side in size)
    if height * width <= pixels:
        return strategy
    grids = ((_side(height, rows), _side(width, columns)) for rows, columns in product(GRID, GRID))
    window = min(
        (each for each in grids if each[0] * each[1] <= pixels and max(each) <= 2 * min(each)),
        key=lambda each: (_seen(height, each[0]) * _seen(width, each[1]), abs(each[0] - each[1])),
        default=(SMALLEST, SMALLEST),
    )
    return Strategy(strategy.scales, strategy.flip, window, None, strategy.output_stride)


def _side(length: int, number: int) -> int:
    """Return the side of so many windows along `length` pixels."""
    if number == 1:
        return length
    return max(SMALLEST, -(-3 * length // (2 * number + 1) // STEP) * STEP)


def _seen(length: int, window: int) -> int:
    """Return the pixels along one side of all windows together."""
    return min(window, length) * len(window_starts(length, window, -(-2 * window // 3)))
