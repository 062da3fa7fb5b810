"""Two configurations under one test: the second minus the first, paired over images and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.evaluation.protocol import comparable
from segsweep.reports.findings.counted import Counted, Result, read_counts
from segsweep.reports.findings.members import DONE, Configuration, Member
from segsweep.reports.findings.protocols import described, unlike
from segsweep.statistics.figures import FIGURES
from segsweep.statistics.intervals import Estimate, estimate
from segsweep.statistics.paired import Difference, difference
from segsweep.statistics.resampling import resampling
from segsweep.terminal import plural


@dataclass(frozen=True)
class Side:
    """One of two configurations: what it was asked for by, its tests and its figure."""

    query: str
    configuration: Configuration
    results: tuple[Result, ...]
    estimate: Estimate

    @property
    def unfinished(self) -> list[str]:
        """Which of its runs have no such test, and why."""
        tested = {result.member.folder.id for result in self.results}
        return [_told(member) for member in self.configuration.members if member.folder.id not in tested]


def _told(member: Member) -> str:
    why = f", {member.standing.why}" if member.standing.why else ""
    return f"seed {member.seed} ({member.folder.id}): {member.standing.state}{why}"


@dataclass(frozen=True)
class Versus:
    """The comparison, with the figure's name, the test's, and the images both were measured on."""

    figure: str
    test: str
    protocol: str
    images: int
    first: Side
    second: Side
    difference: Difference
    grouped: Difference | None
    """The same if groups of images, or blocks within these, are resampled."""
    unit: str
    """What `grouped` resamples, in words."""

    def flat(self) -> dict[str, Any]:
        """Return the comparison as one object of plain values; differences in points."""
        found = self.difference
        return {
            "first": self.first.query,
            "second": self.second.query,
            "figure": self.figure,
            "test": self.test,
            "difference": 100 * found.value,
            "low": 100 * found.low,
            "high": 100 * found.high,
            "images": self.images,
            "seeds": found.seeds,
            "p_images": found.p_images,
            "p_seeds": found.p_seeds,
            "verdict_seeds": found.verdict_seeds,
            "seeds_needed": found.seeds_needed,
            "by_seed": [100 * value for value in found.by_seed],
            "smallest": 100 * found.smallest,
            "first_value": 100 * self.first.estimate.value,
            "second_value": 100 * self.second.estimate.value,
            "protocol": self.protocol,
            "runs": [[r.member.folder.id for r in side.results] for side in (self.first, self.second)],
            "groups": self.grouped
            and {"unit": self.unit, "low": 100 * self.grouped.low, "high": 100 * self.grouped.high},
            "unfinished": [[*side.unfinished] for side in (self.first, self.second)],
        }


def versus(
    queries: Sequence[str], configurations: Sequence[Configuration], test: str, figure: str = "miou"
) -> Versus:
    """Compare two configurations under the test of this name.

    Raises:
        ConfigError: there is no such figure, or the two are the same, or were measured unlike.
        UserError: one of them has no such test, or its counts are damaged.
    """
    if figure not in FIGURES:
        raise OptionError("figure", figure, near=FIGURES)
    results = [_tests(query, one, test) for query, one in zip(queries, configurations, strict=True)]
    if {r.member.folder.id for r in results[0]} & {r.member.folder.id for r in results[1]}:
        raise ConfigError(f"{queries[1]}: the same runs as {queries[0]}; name two configurations")
    cards = [comparable(result.card) for tests in results for result in tests]
    if apart := next((words for card in cards if (words := unlike(cards[0], card))), None):
        raise ConfigError(f"{' and '.join(queries)} were not measured alike: {', '.join(apart)}")
    counted = [_counts(query, tests) for query, tests in zip(queries, results, strict=True)]
    if counted[0].ids != counted[1].ids:
        raise ConfigError(f"{' and '.join(queries)} were tested on different images")
    weights = resampling(counted[0].measured.images)
    one, two = (found.measured for found in counted)
    grouped = counted[0].grouped()
    sides = [
        Side(query, one, tuple(tests), estimate(found.measured, weights, figure))
        for query, one, tests, found in zip(queries, configurations, results, counted, strict=True)
    ]
    return Versus(
        figure=figure,
        test=test,
        protocol=described(cards[0]),
        images=counted[0].measured.images,
        first=sides[0],
        second=sides[1],
        difference=difference(one, two, weights, figure),
        grouped=difference(one, two, grouped, figure) if grouped else None,
        unit=", ".join(filter(None, (grouped.unit, grouped.caveat))) if grouped else "",
    )


def _counts(query: str, tests: Sequence[Result]) -> Counted:
    found = read_counts(tests)
    if found is None:
        raise UserError(f"{query}: the counts of its tests cannot be read; test again")
    return found


def _tests(query: str, configuration: Configuration, test: str) -> list[Result]:
    """Return the tests of this name of a configuration's runs."""
    members = configuration.members
    found = [Result(member, test, *member.tests[test]) for member in members if test in member.tests]
    if not found:
        known = sorted({name for member in members for name in member.tests})
        if known:
            raise OptionError("test", test, problem=f"{query} has no such test", near=known)
        todo = f"; complete it: {command}" if (command := configuration.completion()) else ""
        state = ", ".join(_told(member) for member in members if member.standing.state != DONE)
        raise UserError(f"{query}: none of its {plural(len(members), 'run')} is tested ({state}){todo}")
    return found
