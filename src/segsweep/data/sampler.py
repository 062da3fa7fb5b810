"""The stream of a run's training images, cut into batches.

The stream is the order of epoch 0, then that of epoch 1, and so on (`sampling`: a permutation unless asked
otherwise). It is cut into optimizer steps of equal size, and each step into micro-batches for the ranks; so
a step holds the same images whatever the number of devices or of accumulated batches, and any step is found
without replaying those before it.
"""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from segsweep.data.sampling import EpochOrder, Order

Position = tuple[int, int]
"""An (epoch, draw) pair: the pass over the data, and `sample + samples * times drawn before in that epoch`.

So that a sample that comes twice in an epoch is augmented in two ways.
"""


class StreamBatchSampler(Sampler[list[Position]]):
    """Micro-batches of a whole run, from micro-batch `start` on, for one rank.

    Micro-batch m of rank r holds the stream's positions `(m * world + r) * batch + [0, batch)`. Position p
    belongs to epoch `p // length`. Batches may straddle two epochs, and be larger than one.
    """

    def __init__(
        self, order: EpochOrder, batch: int, total: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        """Take each epoch's order, the images of a micro-batch, and the micro-batches of a rank in the run.

        `start` is the first micro-batch still to do, as counted by a resumed run.
        """
        assert batch > 0
        assert 0 <= rank < world
        self.order, self.batch, self.total = order, batch, total
        self.start, self.rank, self.world = start, rank, world

    def __len__(self) -> int:
        # The whole run and not what is left: Lightning adds the batches done before a resume by itself.
        return self.total

    def __iter__(self) -> Iterator[list[Position]]:
        epoch, draws = -1, np.empty(0, dtype=np.int64)
        for micro in range(self.start, self.total):
            first = (micro * self.world + self.rank) * self.batch
            batch: list[Position] = []
            for position in range(first, first + self.batch):
                if position // self.order.length != epoch:
                    epoch = position // self.order.length
                    draws = tell_apart(self.order.order(epoch), self.order.samples)
                batch.append((epoch, int(draws[position % self.order.length])))
            yield batch


def tell_apart(order: Order, samples: int) -> Order:
    """Add `samples` to the second occurrence of each index, twice that to the third, and so on."""
    by_index = np.argsort(order, kind="stable")
    starts = np.cumsum(np.bincount(order, minlength=samples)) - np.bincount(order, minlength=samples)
    before = np.empty_like(order)
    before[by_index] = np.arange(len(order)) - starts[order[by_index]]
    return order + samples * before
