"""`segsweep runs`: what it lists and filters, what it tells of one run, and the following of a log."""

import json
import signal
import subprocess

import pytest

from segsweep.commands import runs as runs_command
from segsweep.errors import ConfigError, UserError
from tests.support.commands import command, environment
from tests.support.in_process import listed, run


def test_states_progress_and_holder(chain, held, runs, capsys):
    first, second, _ = chain
    first.update_status(state="done", step=4)
    second.update_status(state="running", step=1, seconds_left=100.0, shrunk_to=2, dropped_batches=3)
    rows = listed(runs, capsys)
    assert [rows[r.id]["state"] for r in chain] == ["done", "running", "waiting"]
    row = rows[second.id]
    assert (row["progress"], row["max_steps"], row["parent"]) == (0.25, 4, first.id)
    assert 90 < row["seconds_left"] <= 100
    assert row["holder"].endswith(f":{held.pid}")
    held.kill()
    held.wait()
    second.update_status(failure={"class": "data", "log": []})
    rows = listed(runs, capsys)
    assert [rows[r.id]["state"] for r in chain] == ["done", "interrupted", "planned"]
    assert (rows[second.id]["seconds_left"], rows[second.id]["failure"]) == (None, "data")
    run(f"runs_dir={runs}")
    shown = capsys.readouterr().out
    assert "2 micro-batches for want of memory, 3 batches dropped" in shown
    assert " 1/4 " in shown


def test_filters(chain, runs, capsys):
    chain[0].update_status(state="failed", error="no")
    (runs / "sweeps" / "a").mkdir(parents=True)
    record = {"name": "a/b", "runs": [chain[1].id], "started": 0}
    (runs / "sweeps" / "a" / "b.json").write_text(json.dumps(record))
    assert list(listed(runs, capsys, "state=failed")) == [chain[0].id]
    assert list(listed(runs, capsys, "sweep=a/b")) == [chain[1].id]
    assert listed(runs, capsys, "sweep=a/b", "state=failed") == {}
    with pytest.raises(ConfigError, match="state=faild: did you mean failed"):
        run("state=faild")
    with pytest.raises(UserError, match=r"sweep=c: no such sweep .* known: a/b"):
        run(f"runs_dir={runs}", "sweep=c")


FILTERS = {
    "seed=1": [1],
    "seed=0,2": [0, 2],
    "head=aspp head.rates=[1,2] seed=0": [0],
    "head=ksac,aspp stage=stage2": [2],
    "optimizer.lr=1e-2": [0, 1, 2],
    "size=48": [0, 1, 2],
    "trainer.log_every=1": [0, 1, 2],
    "trainer.devices=1 seed=2": [2],
    "head=ksac": [],
    "seed=3": [],
}


def test_any_setting_filters(chain, runs, capsys):
    """As it counts (1e-2), as it was given (size=48), or as the configuration has it (trainer.devices)."""
    for filters, seeds in FILTERS.items():
        found = listed(runs, capsys, *filters.split())
        assert [each.plan.identity["seed"] for each in chain if each.id in found] == seeds, filters


def test_the_best_are_first(chain, runs, capsys):
    for each, miou in zip(chain, (0.25, 0.75, None), strict=True):
        each.update_status(val_miou=miou)
    ids = [each.id for each in chain]
    assert list(listed(runs, capsys, "sort=miou")) == [ids[1], ids[0], ids[2]]
    assert list(listed(runs, capsys, "sort=stage")) == ids
    found = listed(runs, capsys, "best=1")
    assert {id: row["miou"] for id, row in found.items()} == {ids[1]: 0.75}, "programs get a fraction"
    run(f"runs_dir={runs}", "best=1")
    assert " 75.00  val" in capsys.readouterr().out, "people get %"
    with pytest.raises(ConfigError, match="sort=mIoU: no such column; did you mean miou"):
        run(f"runs_dir={runs}", "sort=mIoU")
    with pytest.raises(ConfigError, match="best=0: expected a number of runs"):
        run(f"runs_dir={runs}", "best=0")
    with pytest.raises(
        ConfigError, match="stat: no option of runs, and no run here has it; did you mean state"
    ):
        run(f"runs_dir={runs}", "stat=done")


def test_the_listing_of_mixed_runs_fits_a_terminal(chain, runs, capsys, monkeypatch):
    error = "UserError: so long a story that no terminal has room for it " * 5
    chain[1].update_status(state="failed", error=error, failure={"class": "user's error", "log": []})
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        run(f"runs_dir={runs}")
        _, *lines = capsys.readouterr().out.splitlines()  # all but the title, which has a long path
        assert max(map(len, lines)) <= width
        assert [line.split()[0] for line in lines if line[2:14] in {r.id for r in chain}] == [
            r.id for r in chain
        ]
        assert len(lines) <= len(chain) + 6


def test_mistakes_name_what_is_near():
    with pytest.raises(ConfigError, match="runs verfy: no such command; did you mean verify"):
        run("verfy")
    with pytest.raises(ConfigError, match="yes=maybe: expected true or false"):
        run("gc", "yes=maybe")
    with pytest.raises(ConfigError, match="what=draft: did you mean drafts"):
        run("gc", "what=draft")


def test_help_tells_of_every_command(capsys):
    run("--help")
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in runs_command.COMMANDS if name != "list")
    run("rm", "--help")
    assert "usage: segsweep runs rm ID" in capsys.readouterr().out


def test_show_tells_family_failure_and_origin(chain, runs, capsys):
    failure = {"class": "disk", "log": ["first", "last words"]}
    chain[1].update_status(state="failed", failure=failure, origin=f"parent {chain[0].id}", error="full")
    run("show", chain[1].id, f"runs_dir={runs}", "format=json")
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["parent"], shown["children"]) == (chain[0].id, [chain[2].id])
    assert (shown["stage"], shown["origin"]) == ("stage1", f"parent {chain[0].id}")
    assert shown["failure"] == failure
    run("show", chain[1].id, f"runs_dir={runs}")
    assert capsys.readouterr().out.rstrip().endswith("first\n  last words")


def test_tail_prints_the_end(chain, runs, capsys):
    chain[0].log.write_text("".join(f"line {n}\n" for n in range(50)))
    run("tail", chain[0].id, f"runs_dir={runs}", "lines=2")
    assert capsys.readouterr().out == "line 48\nline 49\n"


def test_tail_follows_through_a_new_beginning_until_the_run_ends(chain, held, runs):
    log = chain[1].log
    log.write_text("old\n" * 30)
    chain[1].update_status(state="running")
    process = subprocess.Popen(
        command("runs", "tail", chain[1].id, "lines=1", "follow=true", f"runs_dir={runs}"),
        stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdout.readline() == "old\n"
    log.write_text("anew\n")
    assert process.stdout.readline() == "anew\n"
    with log.open("a") as file:
        file.write("the last\n")
    chain[1].update_status(state="done")
    held.kill()
    held.wait()
    assert process.communicate(timeout=60)[0] == "the last\n"
    assert process.returncode == 0


def test_tail_ends_at_ctrl_c(chain, runs):
    chain[0].log.write_text("here\n")
    process = subprocess.Popen(
        command("runs", "tail", chain[0].id, "follow=true", f"runs_dir={runs}"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
