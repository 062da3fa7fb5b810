"""How often each image counts in each resample of a test set: by images, blocks of frames, or groups.

All configurations of a table are resampled with the same weights, so that every difference is paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 2000
BLOCK = 10
"""Consecutive frames in a block: of CamVid's one frame a second, ten seconds of driving."""
FEW_GROUPS = 10
"""With fewer groups than this, an interval cannot speak for groups that were not seen."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """Weights of images in resamples of a test set.

    Attributes:
        weights: float64 [R, N], whole numbers: how often each image is in each resample.
        unit: what is drawn: "images", "blocks" or "groups".
        caveat: what an interval by these weights does not say, in words; None if there is nothing to add.
        units: int64 [N], the unit that each image belongs to, 0 to U − 1; images themselves for "images".
        seed: of the random numbers.
    """

    weights: Floats
    unit: str
    caveat: str | None
    units: Integers
    seed: int


def resampling(
    images: int,
    groups: Sequence[str] | None = None,
    unit: str = "images",
    resamples: int = RESAMPLES,
    seed: int = 0,
    *,
    block: int = BLOCK,
    noun: str = "groups",
) -> Resampling:
    """Draw weights for a test set of `images` images.

    Args:
        images: N.
        groups: name of each image's group, [N], such as the drive it is from; None if there are none.
        unit: what is drawn with replacement, each independent of the others: "images"; "blocks" of
            consecutive images within each group; whole "groups".
        resamples: R.
        seed: of the random numbers; one seed gives the same weights for every configuration.
        block: images in a block.
        noun: what groups are, for the caveat: "drives", "cities".
    """
    random = np.random.default_rng(seed)
    names = ["" for _ in range(images)] if groups is None else groups
    group = np.unique(names, return_inverse=True)[1].reshape(images)
    if unit == "images":
        weights, units = random.multinomial(images, np.full(images, 1 / images), resamples), np.arange(images)
    elif unit == "blocks":
        weights, units = _circular_blocks(group, resamples, block, random)
    elif unit == "groups":
        drawn = int(group.max()) + 1
        weights, units = random.multinomial(drawn, np.full(drawn, 1 / drawn), resamples)[:, group], group
    else:
        raise ValueError(f"unit={unit}: images, blocks or groups")
    number = 0 if groups is None else int(group.max()) + 1
    caveat = f"conditional on these {number} {noun}" if 0 < number < FEW_GROUPS else None
    return Resampling(weights.astype(np.float64), unit, caveat, units, seed)


def by_groups(groups: Sequence[str], unit: str) -> Resampling:
    """Draw weights by whole groups, or by blocks within them if they are few.

    Args:
        groups: name of each image's group, [N].
        unit: what a group is: "drive", "city".
    """
    drawn = "groups" if len(set(groups)) >= FEW_GROUPS else "blocks"
    return resampling(len(groups), groups, drawn, noun=plural_of(unit))


def plural_of(unit: str) -> str:
    """Return the plural of what a group is: drives, cities."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def _circular_blocks(
    group: Integers, resamples: int, block: int, random: np.random.Generator
) -> tuple[Integers, Integers]:
    """Draw blocks of consecutive images within each group, which the last image joins to the first.

    The circular block bootstrap (Politis & Romano 1992): starts are uniform, so that each image is as
    likely to be drawn as any other; the last block is cut so that each group keeps its size.

    Returns:
        Weights [R, N], and the block of each image if groups are cut into blocks from their start, [N].
    """
    weights, units = np.zeros((resamples, len(group)), np.int64), np.zeros(len(group), np.int64)
    for number in range(int(group.max()) + 1):
        members = np.flatnonzero(group == number)
        size, length = len(members), min(block, len(members))
        starts = random.integers(size, size=(resamples, -(-size // length), 1))
        drawn = ((starts + np.arange(length)) % size).reshape(resamples, -1)[:, :size]
        rows = np.arange(resamples)[:, None] * size
        weights[:, members] = np.bincount((rows + drawn).ravel(), minlength=resamples * size).reshape(
            resamples, size
        )
        units[members] = units.max() + 1 + np.arange(size) // length
    return weights, np.unique(units, return_inverse=True)[1]


@lru_cache(maxsize=1)
def swaps(resampling: Resampling) -> Floats:
    """Return which images two configurations exchange in each permutation, 0 or 1, float64 [P, N].

    Whole units are exchanged. The first row exchanges nothing: the arrangement as observed is one of the
    permutations, which keeps a p-value from being 0 (Phipson & Smyth 2010). Of a few units all 2^(U − 1)
    arrangements that differ in the size of the difference are listed, of many R random ones.
    """
    number, resamples = int(resampling.units.max()) + 1, len(resampling.weights)
    if 2 ** (number - 1) <= resamples:
        rows = np.arange(2 ** (number - 1))[:, None] >> np.arange(number) & 1
    else:
        random = np.random.default_rng([resampling.seed, 1])
        rows = np.vstack([np.zeros((1, number), np.int64), random.integers(2, size=(resamples, number))])
    return rows[:, resampling.units].astype(np.float64)
