"""A damaged checkpoint, or a disk without room for the next: the run goes on to the same bits."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from segsweep.commands.runs.verify import check
from segsweep.errors import PreemptedError, UserError
from segsweep.runs.folder import RunFolder
from segsweep.training.checkpoint_files import AtomicCheckpointIO, newest
from segsweep.training.recorder import Recorder
from tests.execution.test_resume import equal
from tests.support.disks import small_disk
from tests.support.inside import checkpoint, faulty, planned, rows, run

PICTURE = 2
"""Seen in step 4 of 6, in which each run here is asked to end."""


def outcome(folder: RunFolder) -> list[object]:
    last = checkpoint(folder)
    counts = (folder.path / "tests" / "single" / "confusion.csv").read_text()
    return [last["state_dict"], last["optimizer_states"], rows(folder), counts]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> tuple[RunFolder, list[object]]:
    """A run that ended in its fourth step, and what comes of it where nothing else happens."""
    place = tmp_path_factory.mktemp("stopped")
    (place / "now").touch()
    fault = faulty(place, (PICTURE, int(signal.SIGTERM), "now"))
    folder = planned(*fault, "test=[single]", f"runs_dir={place / 'runs'}")
    with pytest.raises(PreemptedError):
        run(folder)
    whole = RunFolder(place / "whole" / folder.id)
    shutil.copytree(folder.path, whole.path)
    run(whole)
    return folder, outcome(whole)


def copied(stopped, place: Path) -> RunFolder:
    return RunFolder(shutil.copytree(stopped[0].path, place / stopped[0].id))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_flipped_bit_is_reported_and_the_checkpoint_before_is_taken(stopped, tmp_path):
    folder = copied(stopped, tmp_path)
    assert checkpoint(folder)["global_step"] == 4
    flip_a_bit(folder.checkpoints / "last.ckpt")
    run(folder)
    said = folder.log.read_text()
    assert f"checkpoint {folder.checkpoints / 'last.ckpt'} is damaged" in said
    assert "starting from own checkpoint previous.ckpt" in said
    assert folder.status().origin == "random weights"
    assert equal(outcome(folder), stopped[1])


def test_rows_that_a_power_cut_took_are_missed_and_drafts_swept_up(stopped, tmp_path):
    """metrics.csv ends two steps before the checkpoint: said, and the run goes on to the same weights."""
    folder = copied(stopped, tmp_path)
    path = folder.path / "metrics.csv"
    whole = path.read_text().splitlines(keepends=True)
    kept = [line for line in whole if not line.startswith(("3,", "4,"))]
    path.write_text("".join(kept))
    drafts = [folder.path / name for name in ("tests/.single.x", "checkpoints/last.ckpt.1-2.tmp")]
    drafts.append(folder.path / "status.json.1-2.tmp")
    drafts[0].mkdir(parents=True)
    for draft in drafts[1:]:
        draft.touch()
        os.utime(draft, (0, 0))
    run(folder)
    missing = len(whole) - len(kept)
    assert f"{path}: {missing} of {len(whole) - 1} rows up to step 4 are missing" in folder.log.read_text()
    assert equal(outcome(folder)[:2], stopped[1][:2])
    assert [draft for draft in drafts if draft.exists()] == []
    assert {problem.file for problem in check(folder)} == {"metrics.csv"}


def test_rows_are_on_disk_before_the_checkpoint_that_counts_on_them(tmp_path, monkeypatch):
    """The order of syncs and renames, as the operating system is told of it."""
    told: list[str] = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, _telling(name, getattr(os, name), told))
    folder = planned("trainer.max_steps=3", f"runs_dir={tmp_path}")
    run(folder)
    named = [i for i, what in enumerate(told) if what.startswith("replace") and what.endswith("last.ckpt")]
    assert len(named) == 3
    for start, end in zip([0, *named], named, strict=False):
        assert {"fsync metrics.csv", "fsync validation.csv"} <= set(told[start:end])


def _telling(name, call, told):
    def tell(*arguments):
        at = Path(f"/proc/self/fd/{arguments[0]}").readlink() if name == "fsync" else arguments[-1]
        told.append(f"{name} {Path(at).name}")
        return call(*arguments)

    return tell


def test_with_both_damaged_the_run_fails_and_nothing_is_overwritten(stopped, tmp_path):
    folder = copied(stopped, tmp_path)
    for name in ("last.ckpt", "previous.ckpt"):
        flip_a_bit(folder.checkpoints / name)
    before = {path.name: path.read_bytes() for path in folder.checkpoints.iterdir()}
    with pytest.raises(UserError, match="force=true"):
        run(folder)
    assert folder.status().state == "failed"
    assert {path.name: path.read_bytes() for path in folder.checkpoints.iterdir()} == before


def test_a_disk_without_room_for_a_checkpoint(stopped, tmp_path):
    """There is room for small files, so that the status can say what happened."""
    with small_disk(tmp_path / "disk", "128m") as disk:
        folder = copied(stopped, disk)
        room = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(b"0" * (room - 2**20))
        with pytest.raises(UserError, match="the one before it is whole"):
            run(folder)
        status = folder.status()
        assert (status.state, status.failure.kind) == ("failed", "disk")
        assert "could not be written" in status.error
        assert newest(folder.checkpoints) == folder.checkpoints / "last.ckpt"
        assert checkpoint(folder)["global_step"] == 4
        assert not list(folder.checkpoints.glob("*.tmp"))
        (disk / "filler").unlink()
        run(folder)
        assert folder.status().failure is None
        assert equal(outcome(folder), stopped[1])


def test_asked_to_end_as_a_validation_ends_its_best_is_kept(tmp_path, monkeypatch):
    """The signal comes when the validation is counted and best.ckpt is not yet written."""
    folder = planned(f"runs_dir={tmp_path}")
    original = Recorder.on_validation_end

    def counted(self, trainer, pl_module) -> None:
        original(self, trainer, pl_module)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Recorder, "on_validation_end", counted)
    with pytest.raises(PreemptedError, match="after the validation of step 3"):
        run(folder)
    callbacks = checkpoint(folder)["callbacks"]
    (best,) = [state for key, state in callbacks.items() if "BestCheckpoint" in key]
    (recorded,) = [row["val_miou"] for row in rows(folder) if row["val_miou"]]
    assert float(best["best_model_score"]) == pytest.approx(float(recorded))
    assert checkpoint(folder, "best.ckpt")["global_step"] == 3


def test_a_run_that_was_moved_keeps_its_best(stopped, tmp_path):
    """A score that no later validation reaches: best.ckpt stays what it was."""
    folder = copied(stopped, tmp_path)
    last = torch.load(folder.checkpoints / "last.ckpt", weights_only=True)
    (best,) = [state for key, state in last["callbacks"].items() if "BestCheckpoint" in key]
    for name in ("best_model_score", "kth_value", "current_score"):
        best[name] = torch.tensor(0.99)
    best["best_k_models"] = dict.fromkeys(best["best_k_models"], torch.tensor(0.99))
    AtomicCheckpointIO().save_checkpoint(last, folder.checkpoints / "last.ckpt")
    before = (folder.checkpoints / "best.ckpt").read_bytes()
    run(folder)
    assert folder.status().state == "done"
    assert (folder.checkpoints / "best.ckpt").read_bytes() == before
