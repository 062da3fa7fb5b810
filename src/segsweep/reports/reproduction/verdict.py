"""The verdict on a run that was trained again, and what it rests on.

Equal means every bit of weights, counts and curve. Otherwise each test of the two is compared as
`segsweep compare` compares configurations: the difference is noise if its 95 % interval over images holds 0,
or if it is no larger than between two seeds of the configuration, where the folder of runs has three.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from segsweep.evaluation.counts import Counts
from segsweep.evaluation.protocol import comparable
from segsweep.reports.findings.protocols import unlike
from segsweep.reports.reproduction.bits import Curve, Weights, compare_curves, compare_weights
from segsweep.reports.reproduction.surroundings import Changes, surroundings
from segsweep.runs import compare, layout
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.identity import file_hash
from segsweep.statistics.figures import FIGURES
from segsweep.statistics.measured import Measured
from segsweep.statistics.paired import Difference, difference
from segsweep.statistics.resampling import resampling
from segsweep.statistics.seeds import repeatability

FIGURE = "miou"
FEWEST_SEEDS = 3
"""With two, Student's quantile is so large that nearly every difference would be noise."""


class Verdict(StrEnum):
    """What a comparison says."""

    EQUAL = "equal"
    WITHIN_NOISE = "equal within noise"
    NOT_EQUAL = "not equal"


@dataclass(frozen=True)
class TestAgain:
    """One test of both runs.

    Attributes:
        name: as its folder is named.
        verdict: of this test alone.
        first, second: the figure of the old and the new run.
        images: how many both were tested on.
        difference: second minus first, with its interval; None if they cannot be compared.
        unlike: how the protocols differ.
        seeds: how many seeds of the configuration have this test, the old run's among them.
        limit: how far apart two seeds may be with a probability of 95 %; NaN with fewer than FEWEST_SEEDS.
    """

    name: str
    verdict: Verdict
    first: float
    second: float
    images: int
    difference: Difference | None
    unlike: tuple[str, ...]
    seeds: int
    limit: float


@dataclass(frozen=True)
class Reproduction:
    """A run and the same run trained again.

    Attributes:
        old, new: the two.
        weights: of their checkpoints; empty if one of them has none.
        curve: of their training.
        tests: that both have.
        surroundings: what differs in code, packages and hardware.
        doubts: why the old run's files are not what its training and its tests left.
    """

    old: RunFolder
    new: RunFolder
    weights: tuple[Weights, ...]
    curve: Curve
    tests: tuple[TestAgain, ...]
    surroundings: Changes
    doubts: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Equal in all bits, within noise in every test, or not equal."""
        same_weights = bool(self.weights) and not any(one.unlike for one in self.weights)
        verdicts = {test.verdict for test in self.tests}
        if self.doubts or Verdict.NOT_EQUAL in verdicts:
            return Verdict.NOT_EQUAL
        if same_weights and self.curve.first is None and verdicts <= {Verdict.EQUAL}:
            return Verdict.EQUAL
        return Verdict.WITHIN_NOISE if verdicts else Verdict.NOT_EQUAL

    def flat(self) -> dict[str, Any]:
        """Return plain values for a program; differences of figures in points."""
        return {
            "run": self.old.id,
            "verdict": str(self.verdict),
            "old": str(self.old.path),
            "new": str(self.new.path),
            "weights": [asdict(one) for one in self.weights],
            "curve": asdict(self.curve),
            "tests": [_flat(test) for test in self.tests],
            "differs_in": self.surroundings,
            "doubts": list(self.doubts),
        }


def _flat(test: TestAgain) -> dict[str, Any]:
    found = test.difference
    return {
        "test": test.name,
        "verdict": str(test.verdict),
        "old": 100 * test.first,
        "new": 100 * test.second,
        "images": test.images,
        "difference": None if found is None else 100 * found.value,
        "low": None if found is None or np.isnan(found.low) else 100 * found.low,
        "high": None if found is None or np.isnan(found.high) else 100 * found.high,
        "smallest": None if found is None or np.isnan(found.smallest) else 100 * found.smallest,
        "seeds": test.seeds,
        "seeds_limit": None if np.isnan(test.limit) else 100 * test.limit,
        "unlike": list(test.unlike),
    }


def reproduction(old: RunFolder, new: RunFolder) -> Reproduction:
    """Compare a run with the same one trained again.

    Raises:
        UserError: checkpoints or counts of one of them cannot be read.
    """
    both = [test for test in old.read_tests() if test in new.read_tests()]
    weights, curve = tuple(compare_weights(old, new)), compare_curves(old, new)
    doubts = list(_doubts(old))
    if weights and curve.first is not None and not any(one.unlike for one in weights):
        doubts.append(f"{old.path / layout.STEPS} is not of the training that gives its weights")
    tests = tuple(compare_test(old, new, test) for test in both)
    return Reproduction(old, new, weights, curve, tests, surroundings(old, new), tuple(doubts))


def _doubts(old: RunFolder) -> Sequence[str]:
    """Return which tests of the old run are not of the checkpoint that lies there now."""
    files = {"last": old.checkpoints / layout.LAST, "best": old.checkpoints / layout.BEST}
    return [
        f"{file} is not the one that its test {name} was of ({card.checkpoint.sha256} then, {now} now)"
        for name, (_, card) in old.read_tests().items()
        if (file := files[card.checkpoint.which]).is_file()
        and (now := file_hash(str(file))) != card.checkpoint.sha256
    ]


def compare_test(old: RunFolder, new: RunFolder, test: str) -> TestAgain:
    """Compare a test of both runs; raise DataError if its counts cannot be read."""
    ours, theirs = (Counts.load(run.tests / test).by_name() for run in (old, new))
    words = unlike(*(comparable(run.read_tests()[test][1]) for run in (old, new)))
    words += () if ours.ids == theirs.ids else ("other images",)
    by_seed = figures_by_seed(old, test)
    limit = repeatability(by_seed) if len(by_seed) >= FEWEST_SEEDS else float("nan")
    first, second = (float(FIGURES[FIGURE](counts.rows.sum(0))) for counts in (ours, theirs))
    if words:
        return TestAgain(
            test, Verdict.NOT_EQUAL, first, second, len(theirs), None, words, len(by_seed), limit
        )
    measured = [Measured(("",), counts.rows[None]) for counts in (ours, theirs)]
    found = difference(measured[0], measured[1], resampling(len(ours)), FIGURE)
    if np.array_equal(ours.rows, theirs.rows) and np.array_equal(ours.confusion, theirs.confusion):
        verdict = Verdict.EQUAL
    elif found.low <= 0 <= found.high or abs(found.value) <= limit:  # false for NaN
        verdict = Verdict.WITHIN_NOISE
    else:
        verdict = Verdict.NOT_EQUAL
    return TestAgain(test, verdict, first, second, len(ours), found, (), len(by_seed), limit)


def figures_by_seed(run: RunFolder, test: str) -> list[float]:
    """Return the figure of all runs beside this one that are equal to it but for seeds, and its own."""
    own, card = _but_seeds(run), comparable(run.read_tests()[test][1])
    found = []
    for other in all_runs(run.path.parent):
        tests = other.read_tests() if _but_seeds(other) == own else {}
        value = tests[test][0].miou if test in tests and comparable(tests[test][1]) == card else None
        found += [] if value is None else [value]
    return found


def _but_seeds(run: RunFolder) -> dict[str, Any]:
    return {key: v for key, v in compare.known(run).items() if key.rpartition(".")[2] != "seed"}
