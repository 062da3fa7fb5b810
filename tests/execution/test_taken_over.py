"""A process that was suspended, and whose run another one took over meanwhile, leaves the run alone."""

import json
import os
import pkgutil

import pytest

from segsweep import cli
from segsweep.runs.folder import RunFolder
from segsweep.runs.lease import LeaseLostError
from segsweep.sweeps.worker import HELD
from tests.support.inside import planned, run

THEIRS = {"host": "elsewhere", "pid": 1, "started": "", "since": 0.0, "token": "theirs"}
TAKEN = {"state": "running", "step": 1, "updated": 1.0, "mark": "theirs"}

# Where the process is suspended: just before what comes next is written.
MOMENTS = {
    "saving": "segsweep.training.checkpoint_files.torch.save",
    "validating": "segsweep.training.task.SegmentationTask.on_validation_epoch_end",
    "validated": "segsweep.training.checkpoints.BestCheckpoint.on_validation_end",
    "loading for the tests": "segsweep.execution.test.load_network",
    "packing predictions": "segsweep.evaluation.predictions.check",
    "adding up counts": "segsweep.execution.test.Counts.merge",
    "failing": "segsweep.execution.test.builders.build_strategies",
}


def take_over(folder: RunFolder) -> dict[str, bytes]:
    """What another process leaves there when it takes the run over; all files of the run then."""
    (folder.path / "lease.json").write_text(json.dumps(THEIRS))
    (folder.path / "status.json").write_text(json.dumps(TAKEN))
    return files(folder)


def files(folder: RunFolder) -> dict[str, bytes]:
    """All that another process may count on: not the log, nor drafts under names of this process's own."""
    found = [path for path in folder.path.rglob("*") if path.is_file() and path != folder.log]
    own = [path for path in found if path.suffix == ".tmp" or "/." in str(path.relative_to(folder.path))]
    return {str(path): path.read_bytes() for path in found if path not in own}


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_written_after_a_takeover(moment, tmp_path, monkeypatch):
    original = pkgutil.resolve_name(MOMENTS[moment])
    folder = planned(
        f"runs_dir={tmp_path}", "trainer.max_steps=2", "trainer.val_every=1", "dataset.train_images=8",
        "test=[single]", "predictions=png",
    )  # fmt: skip
    there: dict[str, bytes] = {}

    def suspended(*arguments, **named):
        result = original(*arguments, **named)
        if not there:
            there.update(take_over(folder))
            if moment == "failing":
                raise ValueError("what failed as the files were gone")
        return result

    monkeypatch.setattr(MOMENTS[moment], suspended)
    with pytest.raises(LeaseLostError, match=f"run {folder.id} was taken over"):
        run(folder)
    assert there
    assert files(folder) == there


def test_a_sweep_waits_for_a_run_that_was_taken_from_it(tmp_path, monkeypatch):
    """Its process then ends as one that found the run held."""

    def lost(*_, **__) -> None:
        raise LeaseLostError("taken over")

    (tmp_path / "plan.json").touch()
    monkeypatch.setattr("segsweep.execution.execute.execute", lost)
    monkeypatch.setattr("segsweep.processes.end_with_parent", lambda **_: None)
    assert cli.run(["execute", str(tmp_path), f"--attached={os.getpid()}"]) == HELD
    assert cli.run(["execute", str(tmp_path)]) == 2
