"""What all statistics of a sweep cost: 40 members over VOC's validation set (1,449 images, 21 classes).

    OMP_NUM_THREADS=1 python -m benchmarks.sweep_statistics [--members 40] [--seeds 1]

Every figure of each configuration with its interval, all classes, and all comparisons: with a baseline and of
all pairs. At most 10 s on one core.
"""

import time

import numpy as np

from benchmarks.report import parser, report
from segsweep.statistics.figures import FIGURES
from segsweep.statistics.intervals import class_estimates, estimate
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import RESAMPLES, resampling
from segsweep.statistics.table import compare_all

IMAGES, CLASSES, PIXELS = 1449, 21, 500 * 375


def sweep(members: int, seeds: int) -> list[Measured]:
    """Counts like VOC's: background in every image, each other class in 7 % of them."""
    rng = np.random.default_rng(0)
    present = rng.random((IMAGES, CLASSES)) < np.r_[1, np.full(CLASSES - 1, 0.07)]
    area = (PIXELS * present * rng.dirichlet(np.ones(CLASSES), IMAGES)).astype(np.int64)
    found = []
    for member in range(members // seeds):
        shape = (seeds, IMAGES, CLASSES)
        tp = (area * rng.beta(8, 2 + 0.02 * member, shape)).astype(np.int64)
        fp = rng.permuted(area - tp, axis=-1)
        region = np.stack([tp, fp, area - tp], axis=2)
        counts = np.concatenate([region, region // 5], axis=2)
        found.append(Measured(tuple(map(str, range(seeds))), counts))
    return found


def main() -> None:
    options = parser(__doc__, "sweep_statistics")
    options.add_argument("--members", type=int, default=40)
    options.add_argument("--seeds", type=int, default=1)
    asked = options.parse_args()
    configurations = sweep(asked.members, asked.seeds)
    start, cpu = time.perf_counter(), time.process_time()
    drawn = resampling(IMAGES)
    for measured in configurations:
        for figure in FIGURES:
            estimate(measured, drawn, figure)
        class_estimates(measured, drawn)
    described = time.process_time() - cpu
    compare_all(configurations, drawn, 0)
    used = time.process_time() - cpu
    row = {
        "configurations": len(configurations),
        "seeds": asked.seeds,
        "figures and classes (s)": described,
        "comparisons (s)": used - described,
        "all (s of the processor)": used,
        "by the clock (s)": time.perf_counter() - start,
        "wanted": "≤ 10",
    }
    report(asked, {f"{IMAGES:,} images, {CLASSES} classes, {RESAMPLES:,} resamples": [row]})


if __name__ == "__main__":
    main()
