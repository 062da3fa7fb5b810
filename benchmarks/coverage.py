"""How often intervals hold and tests err, in simulations in which the truth is known.

    python benchmarks/coverage.py [--repetitions 1000] [--only WORD] [--write docs/statistics.md]

A world is a pool of images, drawn once: which classes an image has and how large they are (log-normal), how
difficult the image is, and which classes a wrong pixel is taken for. A network finds a share of each class's
pixels that depends on the class, the image and chance. The truth is the figure of the whole pool's totals; a
test set is n images (or groups of images) drawn from the pool, and the statistics are segsweep's own.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from segsweep.statistics.figures import iou, miou
from segsweep.statistics.intervals import class_estimates, estimate, interval
from segsweep.statistics.measured import Measured
from segsweep.statistics.paired import difference
from segsweep.statistics.replicates import replicates
from segsweep.statistics.resampling import Resampling, resampling
from segsweep.statistics.table import compare_all
from segsweep.statistics.variance import crossed_interval

PIXELS = 480 * 360
RESAMPLES = 1000  # half of the default, for time
CAMVID = np.linspace(1, 0.3, 11)  # probabilities that an image has a class
VOC = np.r_[1, np.linspace(0.04, 0.1, 20)]
Row = tuple[str, str, float]  # a case, what is counted, its share of the repetitions


class World:
    """A pool of M images with K classes."""

    def __init__(self, presence: np.ndarray, images: int = 20000, difficulty: np.ndarray | None = None):
        self.random = random = np.random.default_rng(0)
        classes = presence.shape[-1]
        difficulty = random.standard_normal(images) if difficulty is None else difficulty
        shape = (len(difficulty), classes)
        median = np.exp(random.standard_normal(classes))
        area = (random.random(shape) < presence) * median * np.exp(0.8 * random.standard_normal(shape))
        self.area = PIXELS * area / np.maximum(area.sum(1, keepdims=True), 1e-9)
        skill = random.normal(1.5, 1, classes)
        self.logit = skill + 0.6 * difficulty[:, None] + 0.6 * random.standard_normal(shape)
        confusion = random.dirichlet(np.full(classes, 0.5), classes)
        np.fill_diagonal(confusion, 0)
        self.confusion = confusion / confusion.sum(1, keepdims=True)

    def network(self, better: float = 0.0, chance: float = 0.3, spread: float = 0.5) -> np.ndarray:
        """Counts int64 [M, 6, K] of a network: logits are `better` on average, not for every class."""
        shift = self.random.normal(better, spread * abs(better), self.area.shape[1])
        logit = self.logit + shift + chance * self.random.standard_normal(self.area.shape)
        found = self.area / (1 + np.exp(-logit))
        missed = self.area - found
        region = np.stack([found, missed @ self.confusion, missed], 1)
        return np.rint(np.concatenate([region, np.zeros_like(region)], 1)).astype(np.int64)

    def groups(self, of_image: np.ndarray) -> list[np.ndarray]:
        return [np.flatnonzero(of_image == group) for group in range(of_image.max() + 1)]


def of(*networks: np.ndarray) -> Measured:
    return Measured(tuple(map(str, range(len(networks)))), np.stack(networks))


def holds(found, truth: float) -> bool:
    return found.low <= truth <= found.high


def difference_holds(first: Measured, second: Measured, drawn: Resampling, truth: float) -> bool:
    """As `holds` of `difference`, without its tests, which take longer than the interval."""
    between = (replicates(second, drawn) - replicates(first, drawn)).mean()
    low, high = interval(float(between.value[0]), between.resampled[0], between.left_out[0], "percentile")
    return low <= truth <= high


def of_images(case: str, presence, n: int, better: float = 0.1, chance: float = 0.3) -> Callable:
    """Images drawn one by one."""

    def simulate(repetitions: int) -> Iterator[Row]:
        world = World(presence)
        one, two = world.network(chance=chance), world.network(better, chance)
        true = miou(one.sum(0)), miou(two.sum(0)) - miou(one.sum(0)), iou(one.sum(0))[-1]
        drawn = resampling(n, resamples=RESAMPLES)
        rows = []
        for _ in range(repetitions):
            images = world.random.integers(len(one), size=n)
            first, second = of(one[images]), of(two[images])
            row = [
                holds(estimate(first, drawn), true[0]),
                holds(estimate(first, drawn, method="percentile"), true[0]),
                difference_holds(first, second, drawn, true[1]),
            ]
            if "a class" in case:
                # A set without the class has nothing to say about it.
                last = class_estimates(first, drawn)[-1]
                row.append(np.nan if np.isnan(last.value) else holds(last, true[2]))
            rows.append(row)
        names = "mIoU", "mIoU, percentile instead of BCa", "difference", "IoU of that class"
        yield from ((case, name, share) for name, share in zip(names, np.nanmean(rows, 0), strict=False))

    return simulate


def of_groups(number: int) -> Callable:
    """Groups of 20 to 79 images that are alike in difficulty and classes."""

    def simulate(repetitions: int) -> Iterator[Row]:
        random = np.random.default_rng(1)
        group = np.repeat(np.arange(400), random.integers(20, 80, 400))
        difficulty = 0.5 * random.standard_normal(400)[group] + 0.85 * random.standard_normal(len(group))
        presence = np.clip(CAMVID + 0.2 * random.standard_normal((400, 11)), 0.05, 1)[group]
        world = World(presence, difficulty=difficulty)
        one, two = world.network(), world.network(0.1)
        members = world.groups(group)
        true = miou(one.sum(0)), miou(two.sum(0)) - miou(one.sum(0))
        rows = []
        for repetition in range(repetitions):
            chosen = [members[g] for g in world.random.integers(400, size=number)]
            images = np.concatenate(chosen)
            names = [str(i) for i, group in enumerate(chosen) for _ in group]
            first, second, row = of(one[images]), of(two[images]), []
            for unit in ("groups", "images"):
                drawn = resampling(len(images), names, unit, RESAMPLES, repetition)
                row.append(holds(estimate(first, drawn), true[0]))
                row.append(difference_holds(first, second, drawn, true[1]))
            rows.append(row)
        case = f"{number} groups of 20 to 79 images"
        for name, share in zip(
            ("mIoU", "difference", "mIoU if groups are ignored", "difference if groups are ignored"),
            np.mean(rows, 0),
            strict=True,
        ):
            yield case, name, share

    return simulate


def of_drives(repetitions: int) -> Iterator[Row]:
    """62 and 171 consecutive frames of two long drives; the truth is of these two drives."""
    random = np.random.default_rng(1)
    length, alike = 10000, 0.6  # correlation of a frame's difficulty with the next one's
    noise = np.sqrt(1 - alike**2) * random.standard_normal(2 * length)
    difficulty = np.zeros(2 * length)
    for frame in range(1, 2 * length):
        difficulty[frame] = alike * difficulty[frame - 1] + noise[frame]
    world = World(CAMVID, difficulty=difficulty)
    one, two = world.network(), world.network(0.1)
    sizes = 62, 171
    totals = [sum(n * x[d * length :][:length].mean(0) for d, n in enumerate(sizes)) for x in (one, two)]
    true = miou(totals[0]), miou(totals[1]) - miou(totals[0])
    names = [f"drive {d}" for d, n in enumerate(sizes) for _ in range(n)]
    plans = [resampling(233, names, unit, RESAMPLES) for unit in ("blocks", "images")]
    rows = []
    for _ in range(repetitions):
        starts = world.random.integers(length - 171, size=2) + np.array([0, length])
        images = np.concatenate([start + np.arange(n) for start, n in zip(starts, sizes, strict=True)])
        first, second = of(one[images]), of(two[images])
        rows.append(
            [
                hit
                for drawn in plans
                for hit in (
                    holds(estimate(first, drawn), true[0]),
                    difference_holds(first, second, drawn, true[1]),
                )
            ]
        )
    for name, share in zip(
        ("mIoU, blocks", "difference, blocks", "mIoU, images", "difference, images"),
        np.mean(rows, 0),
        strict=True,
    ):
        yield "62 + 171 frames of two drives, neighbours alike (0.6)", name, share


def of_seeds(number: int) -> Callable:
    """Networks drawn from 60 of each of two configurations; the truth is the mean of these."""

    def simulate(repetitions: int) -> Iterator[Row]:
        world = World(CAMVID, 4000)
        pools = []
        for better in (0.0, 0.1):
            shifts = world.random.normal(better, 0.05, 60)
            pools.append(np.stack([world.network(shift) for shift in shifts]))
        true = float(np.mean(miou(pools[1].sum(1)) - miou(pools[0].sum(1))))
        drawn = resampling(233, resamples=RESAMPLES)
        rows = []
        for repetition in range(repetitions):
            images = world.random.integers(4000, size=233)
            seeds = world.random.integers(60, size=number)
            first, second = (of(*pool[seeds][:, images]) for pool in pools)
            between = replicates(second, drawn) - replicates(first, drawn)
            low, high = crossed_interval(between, repetition)
            rows.append([low <= true <= high, difference_holds(first, second, drawn, true)])
        for name, share in zip(
            ("difference over seeds and images", "difference if seeds are ignored"),
            np.mean(rows, 0),
            strict=True,
        ):
            yield f"{number} seeds, 233 images", name, share

    return simulate


def of_tests(n: int) -> Callable:
    """How often tests find differences that are not there."""

    def simulate(repetitions: int) -> Iterator[Row]:
        world = World(CAMVID)
        networks = [world.network() for _ in range(4)]
        # Equal mIoU of the whole pool but more chance in each image, so that images are not exchangeable.
        low, high = 0.0, 0.5
        for _ in range(12):
            middle = (low + high) / 2
            world.random = np.random.default_rng(2)
            unlike = world.network(middle, 0.9, spread=0.0)
            below = miou(unlike.sum(0)) < miou(networks[0].sum(0))
            low, high = (middle, high) if below else (low, middle)
        drawn = resampling(n, resamples=RESAMPLES)
        rows = []
        for _ in range(repetitions):
            images = world.random.integers(len(unlike), size=n)
            four = [of(x[images]) for x in networks]
            other = difference(four[0], of(unlike[images]), drawn).p_images <= 0.05
            table = compare_all(four, drawn, 0)
            found = table.differences[1]
            assert found is not None
            any_pair = len(set(table.letters)) > 1
            any_holm = any(p is not None and p <= 0.05 for p in table.p_holm)
            rows.append([found.p_images <= 0.05, other, any_holm, any_pair])
        for name, share in zip(
            (
                "permutation test of two equal networks (wanted: 3 to 7 %)",
                "the same, one network more erratic",
                "Holm, any of 3 differences",
                "letters (max-T), any of 6 pairs",
            ),
            np.mean(rows, 0),
            strict=True,
        ):
            yield f"no difference, {n} images", name, share

    return simulate


def with_rare(images: int, n: int = 233) -> Callable:
    presence = CAMVID.copy()
    presence[-1] = images / n
    return of_images(f"{n} images, a class in {images} of them", presence, n)


CASES = {
    "images-50": of_images("50 images, 11 classes", CAMVID, 50),
    "images-233": of_images("233 images, 11 classes", CAMVID, 233),
    "images-1449": of_images("1,449 images, 21 classes", VOC, 1449),
    "near": of_images("233 images, near-identical networks", CAMVID, 233, 0.002, 0.01),
    **{f"rare-{images}": with_rare(images) for images in (3, 10, 20)},
    **{f"groups-{number}": of_groups(number) for number in (2, 3, 10, 20)},
    "drives": of_drives,
    **{f"seeds-{number}": of_seeds(number) for number in (3, 5, 8)},
    **{f"tests-{n}": of_tests(n) for n in (50, 233)},
}
BEGIN, END = "<!-- by benchmarks/coverage.py -->\n", "<!-- end -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--only", default="", help="cases whose name contains this: " + ", ".join(CASES))
    parser.add_argument("--write", type=Path, help="a page with the two marks between which the table goes")
    args = parser.parse_args()
    lines = [f"| case, {args.repetitions:,} repetitions | what | measured |", "| --- | --- | ---: |"]
    print(*lines, sep="\n", flush=True)
    for name, simulate in CASES.items():
        if args.only in name:
            for case, what, share in simulate(args.repetitions):
                lines.append(f"| {case} | {what} | {100 * share:.1f} % |")
                print(lines[-1], flush=True)
    if args.write:
        text, table = args.write.read_text(encoding="utf-8"), "\n".join(lines) + "\n"
        pattern = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)
        args.write.write_text(pattern.sub(lambda _: f"\n{table}\n", text), encoding="utf-8")


if __name__ == "__main__":
    main()
