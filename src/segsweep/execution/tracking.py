"""A run's tracker: open from its first step to its last test, told what the run is and how it ended."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segsweep import build
from segsweep.errors import UserError
from segsweep.planning.stages import key_of
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import is_identity
from segsweep.sweeps.sweep import Sweep
from segsweep.training.trackers import Guarded, NoTracker, RunInfo


@contextmanager
def tracked(folder: RunFolder, config: Mapping[str, Any]) -> Iterator[Guarded]:
    """The tracker of a run that is trained and tested inside; then it is told the figures and closed.

    One that the training did not start is started for new tests. Where the run ends early, wandb is left to
    close with the process: what it lacks it is told when the run goes on. Until it has been told all, the run
    is not complete.
    """
    tracker, before = Guarded(build.build_tracker(config)), folder.strategies()
    tracks, untold = type(tracker.tracker) is not NoTracker, folder.status().untold
    if tracks:
        folder.update_status(untold=True)
    yield tracker
    if tracks and (untold or tracker.started or folder.strategies() != before):
        tracker.start(run_info(folder, folder.config()), folder.status().step)
        tracker.finish(summary(folder))
    if tracks or untold:  # without a tracker nothing is owed any more
        folder.update_status(untold=False)


def summary(folder: RunFolder) -> dict[str, Any]:
    """The run's figures: validation, size, and those of each test as test/<name>/<figure>."""
    status = folder.status()
    figures = {
        "val_miou": status.val_miou,
        "best_val_miou": status.best_miou,
        "params": status.params,
    }
    for name, (metrics, _) in folder.read_tests().items():
        figures |= {
            f"test/{name}/{key}": v for key, v in metrics.plain().items() if isinstance(v, int | float)
        }
    return figures


def run_info(folder: RunFolder, config: Mapping[str, Any], classes: tuple[str, ...] = ()) -> RunInfo:
    """What a tracker is told of a run; `classes` are those of validation images, where it is shown any."""
    stage, axes = folder.plan.stage, _axes(folder, config)
    network = "-".join(folder.plan.choices.get(group, "?") for group in ("backbone", "head", "dataset"))
    return RunInfo(
        id=folder.id,
        folder=folder.path,
        name=" ".join([*([stage] if stage else ()), *(axes or [network]), folder.id[:6]]),
        group=config["sweep"],
        job_type=stage or "train",
        tags=tuple(axes),
        config=config,
        classes=classes,
    )


def _axes(folder: RunFolder, config: Mapping[str, Any]) -> list[str]:
    """What tells the run from the others of its sweep; of one that is alone, what it was asked for by."""
    axes = compare.axes(_members(folder.path.parent, config["sweep"]))
    values = {key: value for key, value in compare.describe(folder, axes).items() if key != "stage"}
    told = [f"{key}={value}" for key, value in values.items() if value != compare.MISSING]
    return told or [override for override in folder.plan.overrides if is_identity(key_of(override))]


def _members(runs_dir: Path, sweep: str | None) -> list[RunFolder]:
    """The runs of a sweep; none where it cannot be read, as in a run folder that was moved alone."""
    try:
        return [] if sweep is None else Sweep.read(runs_dir, sweep).runs
    except UserError:
        return []
