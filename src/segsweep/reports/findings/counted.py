"""The counts of a configuration's tests, one a seed, and which of its images belong together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import DataError, UserError
from segsweep.evaluation.counts import Counts, Groups
from segsweep.reports.findings.grouping import groups_of
from segsweep.reports.findings.members import Member
from segsweep.runs.contents import Card, Metrics
from segsweep.runs.folder import RunFolder
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import Resampling, by_groups

log = logging.getLogger("segsweep")


@dataclass(frozen=True)
class Result:
    """One test of one run: its folder's name, its figures and its protocol card."""

    member: Member
    test: str
    metrics: Metrics
    card: Card

    @property
    def strategy(self) -> str:
        """The strategy's name: the folder's without weights and split, which the protocol names."""
        return self.test.split("-")[0]


@dataclass(frozen=True, eq=False)
class Counted:
    """The counts of a configuration's seeds, images in the order of their names, and these images' groups."""

    measured: Measured
    ids: tuple[str, ...]
    confusion: NDArray[np.int64]
    groups: Groups | None
    objects: NDArray[np.int64] | None
    """True positives and false negatives by size of the object, [S, N, Z, 2, K]; None in older tests."""

    def grouped(self) -> Resampling | None:
        """Return the resampling of whole groups, or of blocks within them if they are few."""
        return None if self.groups is None else by_groups(self.groups.names, self.groups.unit)


def read_counts(results: Sequence[Result]) -> Counted | None:
    """Read the counts of a configuration's tests; None, with a warning, if some are damaged or not there."""
    rows, seeds = [], []
    objects: list[NDArray[np.int64]] = []
    confusion: NDArray[np.int64] = np.zeros((), np.int64)
    first: Counts | None = None
    for result in results:
        folder = result.member.folder
        try:
            counts = Counts.load(folder.tests / result.test).by_name()
        except DataError as error:
            log.warning(f"no intervals: {error}")
            return None
        if first is not None and first.ids != counts.ids:
            log.warning(f"no intervals: {folder.tests / result.test} is of other images than other seeds'")
            return None
        first = first or counts
        seeds.append(result.member.seed if result.member.seed not in seeds else folder.id)
        rows.append(counts.rows)
        objects += [] if counts.objects is None else [counts.objects]
        confusion = confusion + counts.confusion
    assert first is not None
    return Counted(
        Measured(tuple(seeds), np.stack(rows)),
        tuple(first.ids),
        confusion,
        _groups(results[0].member.folder, first),
        np.stack(objects) if len(objects) == len(rows) else None,
    )


def _groups(run: RunFolder, counts: Counts) -> Groups | None:
    """Return the groups of the images; None if that cannot be known."""
    try:
        return groups_of(run, counts)
    except UserError:  # the run's configuration is damaged
        return None


def alike(found: Sequence[Counted | None]) -> list[Counted | None]:
    """Leave out counts of other images than the first ones', as these cannot be paired."""
    first = next((each.ids for each in found if each is not None), None)
    return [each if each is not None and each.ids == first else None for each in found]
