"""Out of memory: a failure of its own kind, or smaller micro-batches at the same batch size."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segsweep import cli
from segsweep.failures import AgainError, classify, is_out_of_memory
from segsweep.runs.compare import remarks_on
from segsweep.runs.folder import RunFolder
from tests.support.commands import command, environment
from tests.support.faulty import HEAD
from tests.support.inside import BASE, ROOT, batches, checkpoint, planned, rows, run, weights

# Validations follow steps 3 and 6; a checkpoint follows each step.
STEPS = ("trainer.max_steps=6", "trainer.log_every=2")


def hungry(folder: Path, limit: int, calls: int, *overrides: str) -> RunFolder:
    options = (f"+head.limit={limit}", f"+head.calls={calls}")
    return planned(f"head._target_={HEAD}", *options, *STEPS, f"runs_dir={folder}", *overrides)


def stream(seen: list[tuple[int, list[str]]]) -> dict[int, list[str]]:
    """The samples of each step, in order; what was begun twice counts as it was done."""
    steps: dict[int, list[str]] = {}
    for step, ids in seen:
        steps[step] = [*steps.get(step, []), *ids]
    return steps


def test_unless_asked_it_is_a_failure(tmp_path):
    folder = hungry(tmp_path, 2, 0)
    with pytest.raises(torch.OutOfMemoryError):
        run(folder)
    status = folder.status()
    assert (status.state, status.failure.kind) == ("failed", "out of memory")
    assert status.error == "OutOfMemoryError: 4 images do not fit"
    assert status.shrunk_to is None


@pytest.mark.parametrize(
    ("calls", "options", "before", "after"),
    [
        (0, (), 1, 2),  # at once
        (3, (), 1, 2),  # from the checkpoint that follows a validation
        (4, (), 1, 2),  # from one within an interval
        (8, ("batch_size=8", "trainer.accumulate_grad_batches=2"), 2, 4),
    ],
)
def test_it_goes_on_with_smaller_micro_batches(tmp_path, calls, options, before, after):
    with batches() as whole:
        undisturbed = hungry(tmp_path / "whole", 8, calls, *options)
        run(undisturbed)
    folder = hungry(tmp_path / "runs", 2, calls, *options, "trainer.on_oom=shrink")
    with batches() as seen, pytest.raises(AgainError):
        run(folder)
    assert folder.status().shrunk_to == after
    assert f"out of memory: {after} micro-batches a step in place of {before}" in folder.log.read_text()
    done = calls // before
    first = [step for step in seen if step[0] < done]
    with batches() as rest:
        run(folder)
    status = folder.status()
    assert (status.state, status.step, status.shrunk_to) == ("done", 6, after)
    assert checkpoint(folder)["global_step"] == 6
    assert stream([*first, *rest]) == stream(whole)
    assert {len(ids) for _, ids in rest} == {2}
    assert len(rest) == after * (6 - done)
    compared = [
        [(row["step"], row["epoch"], row["lr"]) for row in rows(one)] for one in (folder, undisturbed)
    ]
    assert compared[0] == compared[1]
    assert remarks_on([folder]) == f"{after} micro-batches for want of memory"
    assert remarks_on([undisturbed]) == ""


def test_a_row_weighs_each_step_alike(tmp_path):
    """A row over a step of one micro-batch and one of two: the mean over steps, taken by hand."""
    folder = hungry(tmp_path, 2, 4, "trainer.on_oom=shrink", "trainer.log_every=6", "optimizer.lr=1e-9")
    losses: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        original = torch.Tensor.backward
        patch.setattr(
            torch.Tensor,
            "backward",
            lambda self, *a, **k: (losses.append(float(self.detach())), original(self, *a, **k))[1],
        )
        with pytest.raises(AgainError):
            run(folder)
        run(folder)
    assert len(losses) == 4 + 2 * 2  # Lightning divides a micro-batch's loss by their number
    (row,) = [row for row in rows(folder) if row["loss"]]
    assert float(row["loss"]) == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_a_resumed_run_keeps_its_micro_batches(tmp_path):
    """It does not try the large ones again, and ends where a run that was planned so would."""
    folder = hungry(tmp_path / "runs", 2, 0, "trainer.on_oom=shrink")
    with pytest.raises(AgainError):
        run(folder)
    run(folder)
    so = hungry(tmp_path / "so", 2, 0, "trainer.accumulate_grad_batches=2")
    run(so)
    assert so.id != folder.id, "what was asked for is who the run is"
    assert all(torch.equal(a, b) for a, b in zip(weights(folder).values(), weights(so).values(), strict=True))


def test_one_picture_that_does_not_fit_is_a_failure(tmp_path):
    folder = hungry(tmp_path, 0, 0, "trainer.on_oom=shrink")
    for shrunk in (2, 4):
        with pytest.raises(AgainError):
            run(folder)
        assert folder.status().shrunk_to == shrunk
    with pytest.raises(torch.OutOfMemoryError):
        run(folder)
    assert (folder.status().state, folder.status().shrunk_to) == ("failed", 4)


def test_an_allocation_that_really_fails_is_known(tmp_path):
    """The machine's refusal, under a limit on this process's memory, and not an error of our making."""
    folder = hungry(tmp_path, 2, 1, "trainer.on_oom=shrink", "+head.real=true")
    with pytest.raises(AgainError) as again:
        run(folder)
    assert "allocate memory" in str(again.value.__cause__)
    run(folder)
    assert (folder.status().state, folder.status().shrunk_to) == ("done", 2)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_other_names_of_the_same(error):
    assert is_out_of_memory(error)
    assert classify(error) == "out of memory"
    assert classify(RuntimeError("shape mismatch")) == "unknown"


@pytest.mark.slow
def test_the_fresh_process_leaves_no_loader_behind(tmp_path):
    """A real process, which replaces itself; `force` has had its way by then, and is not done again."""
    arguments = (
        f"head._target_={HEAD}", "+head.limit=2", "+head.calls=1", *STEPS, "num_workers=2", "force=true",
        "trainer.on_oom=shrink", *BASE, f"runs_dir={tmp_path / 'runs'}",
    )  # fmt: skip
    mark = f"MARK={tmp_path}"
    process = subprocess.run(
        command("train", *arguments), capture_output=True, text=True, timeout=200, cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT), MARK=str(tmp_path)),
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    (plan,) = (tmp_path / "runs").glob("*/plan.json")
    status = RunFolder(plan.parent).status()
    assert (status.state, status.shrunk_to) == ("done", 2)
    assert not (tmp_path / "runs" / "replaced").exists()
    environments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/environ") if _is_ours(path)]
    assert [found for found in environments if mark.encode() in found] == []


def _is_ours(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid() and bool(path.read_bytes())
    except OSError:
        return False


def test_a_command_is_given_again_without_its_force(monkeypatch):
    given: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: given.append(arguments))
    monkeypatch.setattr(
        sys, "orig_argv", ["python", "-m", "segsweep", "train", "force=true", "++force=1", "seed=1"]
    )

    def out_of_memory(arguments):
        raise AgainError("run 0: again with smaller micro-batches")

    monkeypatch.setattr(cli, "dispatch", out_of_memory)
    cli.run(["train"])
    assert given == [[sys.executable, "-m", "segsweep", "train", "seed=1"]]
