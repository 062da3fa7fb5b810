"""What a few seeds can say: the exact sign-flip test, and how many seeds a verdict takes."""

from collections.abc import Sequence
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from segsweep.statistics.multiple import LEVEL


def seeds_needed(comparisons: int = 1) -> int:
    """Return from how many seeds on the sign-flip test can find a difference, under Holm.

    All S differences of one sign have p = 2 / 2^S, the smallest there is; Holm's first step asks for at
    most 0.05 / comparisons: 6 seeds for one comparison, 8 for four.
    """
    return 1 + ceil(log2(comparisons / LEVEL))


def sign_flip(differences: NDArray[np.float64]) -> float:
    """Two-sided p-value of the mean of paired differences [S] against 0, over all 2^S signs.

    If configurations do not differ, a seed's difference is as likely to be positive as negative (Fisher
    1935, section 21). Of more than 16 seeds, 2^16 random sign vectors and the observed one are taken.
    """
    seeds = len(differences)
    if seeds <= 16:
        signs = 1 - 2 * (np.arange(2**seeds)[:, None] >> np.arange(seeds) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1, 1], (2**16, seeds))
        signs[0] = 1
    means = np.abs(signs @ differences)
    return float(np.mean(means >= means[0] * (1 - 1e-12)))


def verdict(seeds: int, needed: int, p: float | None) -> str:
    """Say in words what the seeds say; `p` is adjusted for the comparisons made."""
    counted = f"{seeds} seed{'' if seeds == 1 else 's'}"
    if p is None:
        return f"{counted}: too few for a verdict over seeds ({needed} would do)"
    return f"{counted}: {'told apart' if p <= LEVEL else 'not told apart'} over seeds (p = {p:.2g})"


def repeatability(by_seed: Sequence[float]) -> float:
    """Return how far apart two runs may be, with a probability of 95 %, that differ only in their seed.

    t · s · √2 with the standard deviation s of the seeds' figures and Student's quantile at S − 1 degrees of
    freedom: the repeatability limit (ISO 5725-6, section 4.1, where s is taken as known: 1.96 · √2 · σ_r).
    NaN for one seed.
    """
    seeds = len(by_seed)
    if seeds < 2:
        return float("nan")
    return float(stdtrit(seeds - 1, 1 - LEVEL / 2) * np.std(by_seed, ddof=1) * np.sqrt(2))
