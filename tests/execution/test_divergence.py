"""A loss that is no number: the run stops before it does harm, or drops the batch and counts it."""

import signal
import subprocess

import pytest

from segsweep.errors import DivergenceError
from segsweep.runs.folder import RunFolder
from tests.execution.test_resume import equal
from tests.support.commands import command, environment
from tests.support.inside import ROOT, checkpoint, different, faulty, planned, rows, run, step_of, weights

PICTURE, LATER = 14, 9
"""Seen in step 5 and step 6 of 6."""
NAME = f"s0_train_{PICTURE:05d}"


@pytest.fixture
def place(tmp_path):
    return f"runs_dir={tmp_path / 'runs'}"


def is_finite(folder: RunFolder) -> bool:
    return all(tensor.isfinite().all() for tensor in weights(folder).values())


def losses(folder: RunFolder) -> dict[int, str]:
    return {int(row["step"]): row["loss"] for row in rows(folder) if not row["val_loss"]}


def test_the_run_stops_with_step_and_samples_and_skipping_goes_on(place, tmp_path):
    assert (step_of(PICTURE), step_of(LATER)) == (5, 6)
    fault = faulty(tmp_path, (PICTURE, "nan", None))
    folder = planned(*fault, place)
    with pytest.raises(DivergenceError, match=rf"step 5: the loss is nan on samples .*{NAME}") as raised:
        run(folder)
    assert (raised.value.step, len(raised.value.ids)) == (5, 4)
    status = folder.status()
    assert (status.state, status.failure.kind, status.step) == ("failed", "diverged", 4)
    assert status.error == str(raised.value)
    assert 1 < len(status.failure.log) <= 30
    assert "DivergenceError: step 5" in status.failure.log[-1]
    assert checkpoint(folder)["global_step"] == 4
    assert is_finite(folder)

    again = planned(*fault, place, "trainer.on_nan=skip")
    assert again.id == folder.id, "how a NaN is met is no part of the run"
    run(again)
    status = again.status()
    assert (status.state, status.dropped_batches) == ("done", 1)
    assert (status.error, status.failure) == (None, None)
    assert status.origin == "random weights", "where the run began, not where it went on"
    assert "starting from own checkpoint last.ckpt" in again.log.read_text()
    assert f"step 5: loss nan, batch dropped ({', '.join(raised.value.ids)})" in again.log.read_text()
    assert is_finite(again)
    assert sorted(losses(again)) == [1, 2, 3, 4, 5, 6]
    assert [step for step, loss in losses(again).items() if not loss] == [5]


def test_a_dropped_batch_leaves_everything_as_it_was(place, tmp_path, monkeypatch):
    """BatchNorm's statistics too, which its forward pass has moved by then."""
    kept = {}

    def keep(self, trainer):
        kept[trainer.global_step] = {k: v.clone() for k, v in trainer.lightning_module.state_dict().items()}

    monkeypatch.setattr("segsweep.training.checkpoints.LastCheckpoint._save_if_due", keep)
    run(planned(*faulty(tmp_path, (PICTURE, "nan", None)), place, "trainer.on_nan=skip"))
    assert set(kept) == set(range(1, 7))
    assert different(kept[4], kept[5]) == []
    moved = different(kept[5], kept[6])
    assert any(key.endswith("running_var") for key in moved), "other batches move them"


@pytest.mark.parametrize("picture", [PICTURE, LATER])
def test_of_a_step_of_two_batches_one_is_dropped(place, tmp_path, picture):
    """The other's gradient moves the weights, whichever of the two it is."""
    halves = (
        "trainer.accumulate_grad_batches=2",
        "batch_size=8",
        "trainer.max_steps=3",
        "trainer.val_every=1",
    )
    folder = planned(
        *faulty(tmp_path, (picture, "nan", None)), place, *halves, "trainer.on_nan=skip", "optimizer.lr=0.1"
    )
    run(folder)
    assert (folder.status().dropped_batches, folder.status().step) == (1, 3)
    assert is_finite(folder)
    assert all(losses(folder).values()), "each step has a batch that counts"
    moved = different(weights(folder), weights(folder, "previous.ckpt"))
    assert any(key.startswith("encoder.") and key.endswith("weight") for key in moved)


def test_the_count_survives_a_kill(place, tmp_path):
    """Killed in the step after the dropped batch, and run again: the bits of the run that was not."""
    faults = faulty(tmp_path, (PICTURE, "nan", None), (LATER, int(signal.SIGKILL), "now"))
    folder, whole = (
        planned(*faults, f"runs_dir={tmp_path / name}", "trainer.on_nan=skip") for name in ("runs", "whole")
    )
    run(whole)
    (tmp_path / "now").touch()
    killed = subprocess.run(
        command("execute", str(folder.path)), env=environment(PYTHONPATH=str(ROOT)), capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert (folder.status().state, folder.status().step) == ("interrupted", 5)
    run(folder)
    assert folder.status().dropped_batches == whole.status().dropped_batches == 1
    assert equal(checkpoint(folder)["state_dict"], checkpoint(whole)["state_dict"])
    assert equal(checkpoint(folder)["optimizer_states"], checkpoint(whole)["optimizer_states"])
    assert rows(folder) == rows(whole)


def test_weights_that_are_no_numbers_reach_no_checkpoint(place, tmp_path):
    """The loss is one still: its gradient is not."""
    folder = planned(*faulty(tmp_path, (PICTURE, "nan_gradient", None)), place)
    with pytest.raises(DivergenceError, match="is NaN or infinite"):
        run(folder)
    assert folder.status().failure.kind == "diverged"
    assert checkpoint(folder)["global_step"] == 4
    assert is_finite(folder)


def test_an_unknown_wish_is_named(place):
    with pytest.raises(ValueError, match=r"trainer.on_nan=skp: did you mean skip or stop\?"):
        planned(place, "trainer.on_nan=skp")
