"""Small sets of counts, and figures of them by a second, naive formula."""

import numpy as np

from segsweep.statistics.measured import Measured


def counts(images: int, classes: int = 4, seed: int = 0, better: float = 0.0) -> np.ndarray:
    """Counts int64 [N, 6, K]; `better` moves the share of found pixels, other things being equal."""
    rng = np.random.default_rng(seed)
    area = rng.integers(0, 400, (images, classes)) * (rng.random((images, classes)) < 0.8)
    share = np.clip(rng.beta(6, 3, (images, classes)) + better, 0, 1)
    tp = (area * share).astype(np.int64)
    fp = rng.permutation(area - tp, axis=1)
    band = [x // 3 for x in (tp, fp, area - tp)]
    return np.stack([tp, fp, area - tp, *band], axis=1).astype(np.int64)


def measured(images: int, seeds: int = 1, **options) -> Measured:
    start = options.pop("seed", 0)
    parts = [counts(images, seed=start + s, **options) for s in range(seeds)]
    return Measured(tuple(map(str, range(seeds))), np.stack(parts))


def naive_miou(rows: np.ndarray) -> float:
    """Mean IoU of counts [N, 6, K], class by class."""
    ious = []
    for k in range(rows.shape[2]):
        tp, fp, fn = (int(rows[:, row, k].sum()) for row in range(3))
        if tp + fp + fn:
            ious.append(tp / (tp + fp + fn))
    return sum(ious) / len(ious)
