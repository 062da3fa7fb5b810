"""A run's logger: open from the first step to the last test, then given the run's figures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.data.labels import Palette
from segsweep.errors import UserError
from segsweep.execution.read_results import read_results
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import is_identity
from segsweep.runs.journal import Journal
from segsweep.runs.lineage import source
from segsweep.training.loggers import RunInfo, RunLogger


@contextmanager
def tracked(folder: RunFolder, config: RunConfig) -> Iterator[RunLogger]:
    """Yield the logger of a run that is trained and tested in the block; then log the results and close it.

    If the training did not start it, new tests do. If the run ends early, its services close with the
    process, and receive what they lack when the run goes on; the run is not complete before that.
    """
    logger, before = builders.build_logger(config), folder.strategies()
    logs, untold = bool(logger.services), folder.status().untold
    if logs:
        folder.update_status(untold=True)
    yield logger
    if logs and (untold or logger.started or folder.strategies() != before):
        data = builders.build_dataset(config)
        logger.start(run_info(folder, folder.config(), data.classes, data.palette))
        logger.finish(read_results(folder))
    if logs or untold:  # without a logger nothing is left to log
        folder.update_status(untold=False)


def run_info(folder: RunFolder, config: RunConfig, classes: Sequence[str], palette: Palette) -> RunInfo:
    """Return a run's description for loggers.

    Its configuration has three more keys, so that each may be a column: `choice` (of each group, such as
    `head: ksac`), `axes` (what tells the run from the others of its sweep) and `run` (stage, sweep, parent).
    """
    stage, axes = folder.plan.stage, _axes(folder, config)
    place = {"stage": stage, "sweep": config.sweep, "parent": source(folder)}
    by_axis = {key: value for key, _, value in (axis.partition("=") for axis in axes)}
    told = {"choice": folder.plan.choices, "axes": by_axis, "run": place}
    groups = ("network", "backbone", "head", "dataset")
    network = "-".join(folder.plan.choices[group] for group in groups if group in folder.plan.choices)
    return RunInfo(
        id=folder.id,
        folder=folder.path,
        name=" ".join([*([stage] if stage else ()), *(axes or [network]), folder.id[:6]]),
        group=config.sweep,
        job_type=stage or "train",
        tags=tuple(axes),
        config={**config.content, **told},
        classes=tuple(classes),
        palette=palette,
    )


def _axes(folder: RunFolder, config: RunConfig) -> list[str]:
    """Return how the run differs from the others of its sweep; if it is alone, its identity overrides."""
    axes = compare.axes(_members(folder.path.parent, config.sweep))
    values = {key: value for key, value in compare.describe(folder, axes).items() if key != "stage"}
    told = [f"{key}={value}" for key, value in values.items() if value != compare.MISSING]
    return told or [
        override for override in folder.plan.overrides if is_identity(override.partition("=")[0].lstrip("+~"))
    ]


def _members(runs_dir: Path, sweep: str | None) -> list[RunFolder]:
    """Return a sweep's existing runs; an empty list if its journal cannot be read."""
    try:
        record = None if sweep is None else Journal(runs_dir, sweep).read()
    except UserError:
        return []
    runs = [RunFolder(runs_dir / run) for run in (record.runs if record else ())]
    return [run for run in runs if run.path.exists()]
