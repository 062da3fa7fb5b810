"""`segsweep runs rm` and `gc`: what is held or needed stays, and no run is left half removed."""

import json
import os
import pty
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from segsweep.commands.runs import gc as garbage
from segsweep.commands.runs import rm as remove
from segsweep.errors import UserError
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import Journal
from tests.support.commands import command
from tests.support.in_process import listed, run


def test_rm_refuses_without_consent_and_names_children(chain, runs):
    with pytest.raises(UserError, match="yes=true"):
        run("rm", chain[2].id, f"runs_dir={runs}")
    with pytest.raises(UserError, match=f"{chain[0].id} is what {chain[2].id}, {chain[1].id} started from"):
        run("rm", chain[0].id, f"runs_dir={runs}", "yes=true")
    assert all(each.path.exists() for each in chain)


def test_rm_refuses_what_is_held(chain, held, runs):
    with pytest.raises(UserError, match=f"held by process {held.pid}"):
        run("rm", chain[0].id, f"runs_dir={runs}", "children=true", "yes=true")
    assert all(each.path.exists() for each in chain)


def test_rm_removes_children_first_and_says_which_sweep(chain, runs, capsys, monkeypatch):
    (runs / "sweeps").mkdir()
    (runs / "sweeps" / "s.json").write_text(json.dumps({"name": "s", "runs": [chain[0].id]}))
    order, discard = [], remove.discard
    monkeypatch.setattr(remove, "discard", lambda each: (order.append(each.id), discard(each)))
    run("rm", chain[0].id[:6], f"runs_dir={runs}", "children=true", "yes=true")
    assert order == [each.id for each in reversed(chain)]
    assert f"{chain[0].id}  planned, of the sweep s" in capsys.readouterr().out
    assert [path.name for path in runs.iterdir()] == ["sweeps"]


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 1)])
def test_rm_asks_on_a_terminal(chain, runs, answer, status):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("runs", "rm", chain[2].id, f"runs_dir={runs}"), stdin=theirs, stdout=subprocess.DEVNULL
    )
    os.write(ours, answer.encode())
    assert process.wait(timeout=60) == status
    os.close(ours)
    os.close(theirs)
    assert chain[2].path.exists() == (status == 1)


def test_rm_removes_a_sweep_as_one(chain, runs, capsys):
    """Of three runs the first is of another sweep too; nothing goes unasked."""
    for name, members in (("s", chain), ("t", chain[:1])):
        Journal(runs, name).extend([{"run": each.id, "overrides": []} for each in members], named=True)
    Journal(runs, "s").note(chain[1].id, "done")
    with pytest.raises(UserError, match="yes=true"):
        run("rm", "sweep=s", f"runs_dir={runs}")
    with pytest.raises(UserError, match="expected ids, or sweep=NAME"):
        run("rm", chain[0].id, "sweep=s", f"runs_dir={runs}")
    assert all(each.path.exists() for each in chain)
    capsys.readouterr()
    assert run("rm", "sweep=s", "yes=true", f"runs_dir={runs}") == 0
    assert f"{chain[0].id} stays: it is also in the sweep t" in capsys.readouterr().out
    assert [each.path.exists() for each in chain] == [True, False, False]
    assert sorted(path.name for path in (runs / "sweeps").glob("[!.]*")) == ["t.json"]


def test_rm_asks_for_a_sweep_whose_runs_all_stay(chain, runs):
    for name in ("s", "t"):
        Journal(runs, name).extend([{"run": chain[0].id, "overrides": []}], named=True)
    with pytest.raises(UserError, match="yes=true"):
        run("rm", "sweep=s", f"runs_dir={runs}")
    assert run("rm", "sweep=s", "yes=true", f"runs_dir={runs}") == 0
    assert (chain[0].path.exists(), Journal(runs, "s").read()) == (True, None)


def test_gc_offers_no_run_that_is_done(chain, runs, capsys):
    chain[2].update_status(state="done")
    run("gc", "yes=true", f"runs_dir={runs}")
    assert chain[2].path.exists()
    assert [each.path.exists() for each in chain] == [source_kept(each, chain[2]) for each in chain]


def source_kept(run: RunFolder, done: RunFolder) -> bool:
    """Whether a run is the one that is done, or one that it came from."""
    return run.id in (done.id, *_lineage(done))


def _lineage(run: RunFolder) -> list[str]:
    parent = run.plan.parent
    return [] if parent is None else [parent, *_lineage(RunFolder(run.path.parent / parent))]


def test_a_killed_removal_leaves_no_half_run(chain, runs, capsys, monkeypatch):
    def killed(path: Path, *_: object) -> None:
        (path / "plan.json").with_name("status.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        run("rm", chain[2].id, f"runs_dir={runs}", "yes=true")
    monkeypatch.undo()
    assert set(listed(runs, capsys)) == {chain[0].id, chain[1].id}
    assert [path.name for path in runs.glob(".trash-*/plan.json")] == ["plan.json"]
    run("gc", "what=drafts", "yes=true", f"runs_dir={runs}")
    assert list(runs.glob(".trash-*")) == []


def test_gc_keeps_what_a_sweep_needs_and_lists_without_a_terminal(chain, runs, capsys):
    (runs / "sweeps").mkdir()
    (runs / "sweeps" / "s.json").write_text(json.dumps({"name": "s", "runs": [chain[1].id]}))
    shutil.copytree(chain[0].path, runs / "replaced" / f"{chain[0].id}.1")
    draft, fresh = chain[0].path / "status.json.77.tmp", chain[0].path / "plan.json.78.tmp"
    half = runs / "0123456789ab"
    half.mkdir()
    for path in (draft, fresh):
        path.write_text("half")
    for path in (draft, half):
        os.utime(path, (time.time() - 3600,) * 2)
    assert run("gc", f"runs_dir={runs}") == 0
    shown = capsys.readouterr().out
    found = {line.split()[0] for line in shown.splitlines() if "MiB  " in line}
    assert found == {chain[2].id, f"replaced/{chain[0].id}.1", f"{chain[0].id}/{draft.name}", half.name}
    assert "nothing removed" in shown
    assert chain[2].path.exists()
    run("gc", f"runs_dir={runs}", "yes=true")
    assert [chain[0].path.exists(), chain[1].path.exists(), chain[2].path.exists()] == [True, True, False]
    assert (draft.exists(), fresh.exists(), half.exists()) == (False, True, False)
    assert list((runs / "replaced").iterdir()) == []


def test_gc_spares_what_a_sweep_takes_in_while_it_asks(chain, runs, capsys, monkeypatch):
    """The question may stand for hours. The last is taken up by a process between question and removal."""

    def meanwhile(question: str) -> bool:
        (runs / "sweeps").mkdir()
        (runs / "sweeps" / "s.json").write_text(json.dumps({"name": "s", "runs": [chain[1].id]}))
        return True

    def taken_up(run: RunFolder) -> None:
        raise UserError("held")

    monkeypatch.setattr(garbage, "agrees", meanwhile)
    monkeypatch.setattr(garbage, "discard", taken_up)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert run("gc", f"runs_dir={runs}") == 0
    assert all(each.path.exists() for each in chain)
    said = capsys.readouterr().out
    assert [f"{each.id} stays" in said for each in chain] == [True, True, True]
    assert "removed 0 items, 0.0 MiB" in said


def test_rm_asks_again_where_children_came_meanwhile(chain, runs, monkeypatch):
    _, *later = chain
    plans = [each.path / "plan.json" for each in later]
    kept = [plan.read_text() for plan in plans]
    for plan in plans:
        plan.unlink()

    def meanwhile(question: str) -> bool:
        for plan, text in zip(plans, kept, strict=True):
            plan.write_text(text)
        return True

    monkeypatch.setattr(remove, "agrees", meanwhile)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(UserError, match="meanwhile: nothing was removed"):
        run("rm", chain[0].id, "children=true", f"runs_dir={runs}")
    assert all(each.path.exists() for each in chain)


@pytest.mark.parametrize("command", ["rm", "gc"])
def test_of_a_run_that_is_a_link_the_link_goes(chain, runs, command, tmp_path, capsys):
    """What it leads to may be somebody else's, and no lease of ours is left in it."""
    last = chain[2].path
    before = {path.name for path in last.iterdir()}
    last.rename(tmp_path / "elsewhere")
    last.symlink_to(tmp_path / "elsewhere")
    run(command, *([last.name] if command == "rm" else []), f"runs_dir={runs}", "yes=true")
    assert not last.is_symlink()
    there = {path.name for path in (tmp_path / "elsewhere").iterdir()}
    assert there == {*before, "lease.json.mutex"}
    assert command == "gc" or f"a link: {tmp_path / 'elsewhere'} stays" in capsys.readouterr().out
    run("gc", f"runs_dir={runs}", "yes=true")
    assert [path.name for path in runs.iterdir() if path.name.startswith(".trash")] == []


def test_gc_leaves_a_held_run_and_its_parent(chain, held, runs, capsys):
    (chain[1].path / "old.tmp").touch()
    os.utime(chain[1].path / "old.tmp", (0, 0))
    run("gc", f"runs_dir={runs}", "yes=true")
    assert [each.path.exists() for each in chain] == [True, True, False]
    assert (chain[1].path / "old.tmp").exists()
