"""Many comparisons at once: adjusted p-values, who is told apart from whom, and letters for a table."""

from collections.abc import Sequence
from string import ascii_letters

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEVEL = 0.05


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for their number, so that 5 % bounds the chance of any false finding (Holm 1979).

    The i-th smallest of m becomes the largest of (m − j + 1) p_j over j ≤ i, at most 1. It holds whatever
    the dependence between the tests.
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p, np.float64)[order]), 1)
    return tuple(map(float, adjusted))


def told_apart(value: Floats, resampled: Floats, units: int, level: float = LEVEL) -> Bools:
    """Decide for all pairs of configurations whether they differ: bool [C, C] of figures [C], [C, R].

    Step-down max-T on paired resamples (Romano & Wolf 2005, algorithm 4.1): with t_ij = |v_i − v_j| / se_ij,
    a pair is told apart if t_ij exceeds the 1 − `level` quantile, over resamples, of the largest
    |(v*_i − v*_j) − (v_i − v_j)| / se_ij of all pairs not told apart yet; repeated until no pair is added.
    As in an interval, the quantile is widened from the normal's to Student's at U − 1 degrees of freedom.
    The chance that any pair is told apart wrongly is about `level`, and because the pairs' dependence is
    in the resamples, far less is lost than with Holm. A configuration without a figure (NaN) is told apart
    from none.
    """
    apart = np.zeros((len(value), len(value)), np.bool_)
    centred = np.nan_to_num(resampled - value[:, None])
    covariance = centred @ centred.T / centred.shape[1]
    variance = covariance.diagonal()
    # Rounding leaves a little of a variance that is 0, of configurations with one and the same result.
    squared = variance[:, None] + variance - 2 * covariance
    squared[squared <= 1e-12 * (variance[:, None] + variance)] = np.inf
    error = np.sqrt(squared)
    t = np.nan_to_num(np.abs(value[:, None] - value) / error)
    while True:
        quantile = np.quantile(_largest(centred, error, ~apart), 1 - level)
        critical = np.sqrt(units / (units - 1)) * stdtrit(units - 1, ndtr(quantile))
        more = (t > critical) & ~apart
        if not more.any():
            return apart
        apart |= more


def _largest(centred: Floats, error: Floats, pairs: Bools) -> Floats:
    """Largest |difference| / error among the pairs [C, C], in each resample [R]; a row at a time."""
    largest = np.zeros(centred.shape[1])
    for i, row in enumerate(centred):
        others = np.flatnonzero(pairs[i, :i])
        if others.size:
            t = np.abs(row - centred[others]) / error[i, others, None]
            np.maximum(largest, t.max(0), out=largest)
    return largest


def letters(value: Sequence[float], apart: Bools) -> tuple[str, ...]:
    """Give each configuration letters, such that two share one exactly if they are not told apart.

    Insert and absorb (Piepho 2004): all start in one column; for each pair told apart, a column that holds
    both becomes two, without the one and without the other; columns within another are dropped. Columns are
    lettered by their largest figures, `a` first. A configuration without a figure (NaN) has no letter.
    """
    known = [i for i in np.argsort(-np.asarray(value)) if not np.isnan(value[i])]
    columns = [frozenset(known)]
    for place, i in enumerate(known):
        for j in known[place + 1 :]:
            if not apart[i, j]:
                continue
            both = [column for column in columns if i in column and j in column]
            parts = {column - {one} for column in both for one in (i, j)}
            columns = [column for column in columns if column not in both]
            # Only new columns can lie within others: the old ones lie in none of these, nor in their parts.
            columns += [part for part in parts if not any(part < other for other in (*columns, *parts))]
            columns = list(dict.fromkeys(columns))
    ranks = {i: rank for rank, i in enumerate(known)}
    columns.sort(key=lambda column: sorted(ranks[i] for i in column))
    names = [ascii_letters[n] if n < len(ascii_letters) else f"({n + 1})" for n in range(len(columns))]
    return tuple(
        "".join(name for name, column in zip(names, columns, strict=True) if i in column)
        for i in range(len(value))
    )
