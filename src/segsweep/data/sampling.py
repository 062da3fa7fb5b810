"""The samples of an epoch and their order: a pure function of (seed, epoch).

All epochs of a run have the same length, so that any step is found by division. Knows no files.

Shape letters: `N` samples, `K` classes, `L` draws an epoch.
"""

from collections.abc import Sequence
from hashlib import blake2b
from operator import index
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import OptionError

Order = NDArray[np.int64]


def key(*parts: int | str) -> int:
    """Return a 64-bit seed derived from its purpose, as in `key(seed, "shuffle", epoch)`.

    There is no random state to save and restore: the draw for step 7 of seed 3 is the same in a resumed run,
    and with any number of loader processes, devices or prefetched batches.

    Parts are integers (also numpy's) and strings; anything else raises TypeError, because its `repr` need not
    be stable. `hash()` is salted per process.
    """
    plain = tuple(part if isinstance(part, str) else int(index(part)) for part in parts)
    return int.from_bytes(blake2b(repr(plain).encode(), digest_size=8).digest(), "little")


class EpochOrder(Protocol):
    """The order of a run's epochs."""

    samples: int  # N, the number of samples
    length: int  # L, the number of draws in every epoch

    def order(self, epoch: int) -> Order:
        """Return the samples [L] of an epoch."""


class Sampling(Protocol):
    """A way to sample by the classes in the labels: the choices of conf/sampling/."""

    def over(self, holds: NDArray[np.bool_], seed: int) -> EpochOrder:
        """Return the order for samples that hold the classes [N, K]."""


class Shuffle:
    """Every sample once, in a new order for each epoch."""

    def __init__(self, samples: int, seed: int) -> None:
        self.samples = self.length = samples
        self.seed = seed

    def order(self, epoch: int) -> Order:
        """Return a permutation [N]."""
        return np.random.default_rng(key(self.seed, "shuffle", epoch)).permutation(self.samples)


class Mixture:
    """Parts of a dataset by given shares, regardless of their sizes.

    An epoch is as long as all parts together. Each part is traversed by its own permutations, across epochs,
    so that all its samples are drawn equally often.
    """

    def __init__(self, lengths: Sequence[int], weights: Sequence[float], seed: int) -> None:
        """Take the number of samples of each part, in order of indices, and each part's weight.

        Raises ConfigError if a share is too small for a single sample.
        """
        self.samples = self.length = sum(lengths)
        self.lengths, self.seed = tuple(lengths), seed
        ends = np.rint(np.cumsum(weights) / np.sum(weights) * self.length).astype(int)
        self.counts = tuple(int(count) for count in np.diff(ends, prepend=0))
        if 0 in self.counts:
            part = self.counts.index(0) + 1
            raise OptionError(
                "dataset.weights",
                weights,
                problem=f"part {part} gets none of the {self.length} draws of an epoch",
                remedy="give it a larger weight",
            )

    def order(self, epoch: int) -> Order:
        """Return `counts` samples of the parts, mixed [N]."""
        starts = np.cumsum(self.lengths) - self.lengths
        drawn = [
            starts[part] + walk(length, count, epoch, key(self.seed, "part", part))
            for part, (length, count) in enumerate(zip(self.lengths, self.counts, strict=True))
        ]
        return np.random.default_rng(key(self.seed, "mixture", epoch)).permutation(np.concatenate(drawn))


class RepeatFactor:
    """Repeat images of rare classes (Gupta, Dollar, Girshick, "LVIS", CVPR 2019).

    A class in a share f of the images has the factor max(1, sqrt(threshold / f)); an image has that of its
    rarest class, or 1 without classes. The paper draws an epoch's copies at random; here the factor is
    rounded up or down such that all epochs have the same length (systematic resampling), with the same mean.
    """

    def __init__(self, threshold: float) -> None:
        """Take the share of images below which a class is repeated; raise ConfigError unless in (0, 1]."""
        self.threshold = _share("threshold", threshold)

    def over(self, holds: NDArray[np.bool_], seed: int) -> EpochOrder:
        """Return the order for samples that hold the classes [N, K]."""
        return _Repeated(self.factors(holds), seed)

    def factors(self, holds: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the mean number of draws of each image per epoch [N], at least 1."""
        found = np.maximum(holds.mean(axis=0), 1 / len(holds))
        of_class = np.maximum(1, np.sqrt(self.threshold / found))
        return np.asarray(np.where(holds, of_class, 1.0).max(axis=1), dtype=np.float64)


class _Repeated:
    """Samples in proportion to their factors [N]."""

    def __init__(self, factors: NDArray[np.float64], seed: int) -> None:
        self.samples, self.length, self.seed = len(factors), round(factors.sum()), seed
        self._ends = np.cumsum(factors) / factors.sum() * self.length

    def order(self, epoch: int) -> Order:
        """Return samples [L], shuffled: i as often as points `u, u + 1, …` fall into its interval."""
        rng = np.random.default_rng(key(self.seed, "repeat factor", epoch))
        drawn = np.searchsorted(self._ends, np.arange(self.length) + rng.random(), side="right")
        return rng.permutation(np.minimum(drawn, self.samples - 1))


class ClassUniform:
    """A share of the draws by class: classes equally often, then any image with that class.

    Rota Bulò, Porzi, Kontschieder, "In-place activated BatchNorm", CVPR 2018, draw all by class and place
    the crop on it; here crops are random. The other draws traverse all images by permutations, across epochs.
    An epoch has as many draws as there are images.
    """

    def __init__(self, share: float) -> None:
        """Take the share of draws by class; raise ConfigError unless in (0, 1]."""
        self.share = _share("share", share)

    def over(self, holds: NDArray[np.bool_], seed: int) -> EpochOrder:
        """Return the order for samples that hold the classes [N, K]; classes without an image are ignored."""
        return _ByClass(holds[:, holds.any(axis=0)], self.share, seed)


class _ByClass:
    """`ClassUniform` over samples and classes that each occur."""

    def __init__(self, holds: NDArray[np.bool_], share: float, seed: int) -> None:
        self.samples = self.length = len(holds)
        self.seed, self.by_class = seed, round(share * len(holds)) if holds.shape[1] else 0
        self._counts = holds.sum(axis=0)
        self._starts = np.cumsum(self._counts) - self._counts
        self._holders = np.nonzero(holds.T)[1]
        """The images with the first class, then those with the second, and so on."""

    def order(self, epoch: int) -> Order:
        """Return draws by class and other draws, mixed [N]."""
        rng = np.random.default_rng(key(self.seed, "class uniform", epoch))
        drawn = [walk(self.samples, self.length - self.by_class, epoch, key(self.seed, "others"))]
        if self.by_class:
            classes = len(self._counts)
            # In turn from a random one, so that all are drawn equally often.
            chosen = (rng.integers(classes) + np.arange(self.by_class)) % classes
            place = (rng.random(self.by_class) * self._counts[chosen]).astype(np.int64)
            drawn.append(self._holders[self._starts[chosen] + place])
        return rng.permutation(np.concatenate(drawn))


def walk(length: int, count: int, epoch: int, seed: int) -> Order:
    """Return the next `count` of an endless row of permutations of `length`, after `epoch * count`."""
    first = epoch * count
    rounds = range(first // length, -(-(first + count) // length))
    row = [np.random.default_rng(key(seed, "round", each)).permutation(length) for each in rounds]
    start = first - rounds.start * length
    return np.concatenate([np.empty(0, dtype=np.int64), *row])[start : start + count]


def _share(option: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise OptionError(option, value, "a share above 0, at most 1")
    return float(value)
