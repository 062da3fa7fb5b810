"""The order in which a run sees its training images.

The stream of a run is the permutation of epoch 0, then that of epoch 1, and so on. It is cut into
optimizer steps of equal size, and each step into micro-batches for the ranks; so a step holds the same
images whatever the number of devices or of accumulated batches, and any step is found without replaying
those before it.
"""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from segsweep.data.keys import key

Position = tuple[int, int]
"""An (epoch, index) pair: the sample, and the pass over the data in which it is drawn."""


class StreamBatchSampler(Sampler[list[Position]]):
    """Micro-batches of a whole run, from micro-batch `start` on, for one rank.

    Micro-batch m of rank r holds the stream's positions `(m * world + r) * batch + [0, batch)`. Position p
    belongs to epoch `p // n`, whose order is a permutation drawn from (seed, epoch) alone. Batches may
    straddle two epochs: each sample comes exactly once an epoch, and `n < batch` works.
    """

    def __init__(
        self, n: int, batch: int, total: int, seed: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        """Take the number of samples, images a micro-batch on one rank, and micro-batches a rank in the run.

        `start` is the first micro-batch still to do, as counted by a resumed run.
        """
        assert min(n, batch) > 0
        assert 0 <= rank < world
        self.n, self.batch, self.total, self.seed = n, batch, total, seed
        self.start, self.rank, self.world = start, rank, world

    def __len__(self) -> int:
        # The whole run and not what is left: Lightning adds the batches done before a resume by itself.
        return self.total

    def __iter__(self) -> Iterator[list[Position]]:
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for micro in range(self.start, self.total):
            first = (micro * self.world + self.rank) * self.batch
            batch: list[Position] = []
            for position in range(first, first + self.batch):
                if position // self.n != epoch:
                    epoch = position // self.n
                    order = np.random.default_rng(key(self.seed, "shuffle", epoch)).permutation(self.n)
                batch.append((epoch, int(order[position % self.n])))
            yield batch
