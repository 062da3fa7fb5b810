"""`segsweep wandb sync`: which files it gives to wandb, in which order, and what it says."""

import subprocess
from pathlib import Path

import pytest

from segsweep.cli import run as segsweep
from segsweep.runs.folder import RunFolder


@pytest.fixture
def kept(chain, monkeypatch, tmp_path) -> list[RunFolder]:
    """A chain of three runs, the first with two offline files, the others with one each; no login."""
    for run, times in zip(chain, (("1", "2"), ("3",), ("4",)), strict=True):
        for time in times:
            file = run.path / f"wandb/offline-run-{time}-{run.id}/run-{run.id}.wandb"
            file.parent.mkdir(parents=True)
            file.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    return chain


@pytest.fixture
def uploads(monkeypatch) -> list[list[Path]]:
    """The files of each call of wandb's own sync, which marks all but those of a run that it cannot reach."""
    calls: list[list[Path]] = []
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)

    def sync(command, check):
        assert command[1:4] == ["-m", "wandb", "sync"]
        calls.append([Path(file) for file in command[4:]])
        for file in calls[-1]:
            if not (file.parent / "unreachable").exists():
                file.with_suffix(".wandb.synced").touch()

    monkeypatch.setattr(subprocess, "run", sync)
    return calls


def test_without_a_login_one_line_says_what_to_do(kept, runs, capsys):
    assert segsweep(["wandb", "sync", f"runs_dir={runs}"]) == 2
    assert capsys.readouterr().err == (
        "segsweep: wandb: no login, so nothing of 3 runs was uploaded; run `wandb login` or set "
        "WANDB_API_KEY, then give the same command again\n"
    )


def test_parents_come_first_and_nothing_is_uploaded_twice(kept, runs, uploads, capsys):
    assert segsweep(["wandb", "sync", f"runs_dir={runs}"]) == 0
    ids = [[file.parent.name.removeprefix("offline-run-") for file in call] for call in uploads]
    first, second, third = (run.id for run in kept)
    assert ids == [[f"1-{first}", f"2-{first}"], [f"3-{second}"], [f"4-{third}"]]
    assert segsweep(["wandb", "sync", f"runs_dir={runs}"]) == 0
    assert len(uploads) == 3
    assert capsys.readouterr().out.startswith("3 runs uploaded\nnothing to upload: 3 runs, none with")


def test_runs_are_chosen_by_id_sweep_and_settings(kept, runs, uploads):
    where = f"runs_dir={runs}"
    assert segsweep(["wandb", "sync", kept[2].id[:8], where]) == 0
    assert segsweep(["wandb", "sync", "seed=1", where]) == 0
    assert [call[0].parents[2].name for call in uploads] == [kept[2].id, kept[1].id]
    assert segsweep(["wandb", "sync", "sweep=none", where]) == 2
    assert len(uploads) == 2


def test_a_run_at_work_is_left_out(kept, held, runs, uploads):
    assert segsweep(["wandb", "sync", f"runs_dir={runs}"]) == 0
    assert {file.parents[2].name for call in uploads for file in call} == {kept[0].id, kept[2].id}


def test_what_wandb_did_not_upload_is_an_error(kept, runs, uploads, capsys):
    (next(kept[1].path.glob("wandb/*")) / "unreachable").touch()
    assert segsweep(["wandb", "sync", f"runs_dir={runs}"]) == 2
    assert f"wandb did not upload 1 of 3 runs ({kept[1].id})" in capsys.readouterr().err


def test_another_word_is_refused(capsys):
    assert segsweep(["wandb", "snyc"]) == 2
    assert capsys.readouterr().err == "segsweep: wandb snyc: no such command; known: sync\n"
