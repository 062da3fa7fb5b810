"""What the other seeds of a run's configuration say of its tests, as a report has it."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from segsweep.inference.description import OverSeeds
from segsweep.reports.findings.cells import column
from segsweep.reports.findings.counted import Result
from segsweep.reports.findings.members import configurations
from segsweep.reports.findings.protocols import entries
from segsweep.runs.folder import RunFolder


def over_seeds(run: RunFolder, others: Sequence[RunFolder], tests: Collection[str]) -> dict[str, OverSeeds]:
    """Return the figures over seeds by the names of a run's tests; none for a test that one seed has.

    `others` may have any runs: those count that differ from the run in their seed alone, and a test that was
    measured by the same protocol.
    """
    like = [one for one in others if one.plan.choices == run.plan.choices and one.id != run.id]
    for configuration in configurations([run, *like]):
        if any(member.folder.id == run.id for member in configuration.members):
            rows, _ = entries([configuration])
            tested = [replace(row, results=tuple(filter(_has_figure, row.results))) for row in rows]
            columns = [row.of(name) for row in tested for name in {one.strategy for one in row.results}]
            return {
                own.test: _summary(results)
                for results in columns
                for own in results
                if own.member.folder.id == run.id and own.test in tests and len(results) > 1
            }
    return {}


def _has_figure(result: Result) -> bool:
    return result.metrics.miou is not None


def _summary(results: Sequence[Result]) -> OverSeeds:
    """Return the figures of a configuration's tests under one strategy."""
    (cell,) = column([results], None).cells
    low, high = cell.miou.low, cell.miou.high
    known = low is not None and high is not None and math.isfinite(low + high)
    return OverSeeds(
        runs=tuple(one.run for one in cell.seeds),
        seeds=tuple(int(one.seed) for one in cell.seeds),
        mious=tuple(one.value for one in cell.seeds),
        mean=cell.miou.value,
        std=cell.std or 0.0,
        low=low if known else None,
        high=high if known else None,
    )
