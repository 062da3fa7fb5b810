"""Which images of a test belong together: as its counts say or, in older tests, as its dataset does."""

from pkgutil import resolve_name

from segsweep.data.dataset import SegmentationDataset
from segsweep.evaluation.counts import Counts, Groups
from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import shipped


def groups_of(run: RunFolder, counts: Counts) -> Groups | None:
    """Return the groups of a test's images; None if they have none.

    Tests keep them in counts.npz. Older ones do not: their groups follow from the images' ids by the rule of
    the run's dataset, if segsweep ships its class. A user's class is not imported for a report.
    """
    if counts.groups is None and (target := str(run.config().dataset["_target_"])) in shipped():
        dataset: type[SegmentationDataset] = resolve_name(target)
        counts.group(dataset.group_unit, dataset.group_of)
    return counts.groups
