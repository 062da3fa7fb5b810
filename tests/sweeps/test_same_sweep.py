"""What makes a command's sweep the one that was there before: its members, wherever it is typed again."""

import json
import logging
import shutil
import socket
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.runs.journal import BEGAN, DONE, LEFT_OUT, Journal
from segsweep.sweeps.launchers.launcher import SweepLauncher
from segsweep.sweeps.sweep import Call, Sweep, names
from tests.support import composing
from tests.support.in_process import listed, run
from tests.support.inside import OPEN, launched

CHAIN = """first: {trainer: {max_steps: 3}, optimizer: {lr: 0.01}}
second: {trainer: {max_steps: 2}, optimizer: {lr: 0.005}}
"""
SHORT = "trainer.max_steps=3"


@pytest.fixture(autouse=True)
def planned_only(tmp_path, monkeypatch):
    """Sweeps are planned and written, and nothing is done."""
    monkeypatch.setattr(SweepLauncher, "do", lambda self, members, sweep: None)
    monkeypatch.setattr(Call, "check", lambda self, member: None)
    monkeypatch.setenv("SEGSWEEP_RUNS", str(tmp_path / "runs"))
    (tmp_path / "conf" / "stages").mkdir(parents=True)
    (tmp_path / "conf" / "stages" / "chain.yaml").write_text(CHAIN)
    monkeypatch.setenv("SEGSWEEP_CONF", str(tmp_path / "conf"))


def command(*overrides: str) -> int:
    """Its exit status."""
    return cli.run(["train", "-m", *OPEN, *overrides])


def sweep(*overrides: str) -> tuple[str, dict[str, int]]:
    """The sweep's name and its runs' numbers after a command."""
    one = launched(*OPEN, *overrides)
    return one.name, one.journal.numbers()


@pytest.mark.parametrize("named", [(), ("sweep=a/mine",)])
def test_members_added_to_an_axis_come_behind_those_there_are(named, runs):
    common = (SHORT, "head.width=8", *named)
    name, before = sweep("head=none", "seed=1,2", *common)
    assert sorted(before.values()) == [1, 2]
    again, after = sweep("head=none,aspp", "seed=0,1,2,3", *common)
    assert (again, len(after)) == (name, 8)
    assert before.items() <= after.items()
    assert sweep("head=none", "seed=2", *common) == (name, after), "a part of it"
    assert names(runs) == [name]


def test_members_that_are_one_run_are_told_in_its_report(runs):
    """DeepLabV3's head is ASPP by another name; a test is no difference between runs."""
    _, numbers = sweep(SHORT, "head=aspp,deeplabv3,none", "test=[single],[flip]", "sweep=mine")
    assert len(numbers) == 2
    assert list(Sweep.read(runs, "mine").also.values()) == [("head=aspp",)]
    mine = Sweep.read(runs, "mine")
    assert "deeplabv3 is also head=aspp: the same runs." in findings(mine.runs, Wish(quick=True), mine).notes


def test_options_of_tests_are_known_by_their_key(runs):
    (one,) = members = [composing.member(*OPEN, f"runs_dir={runs}")]
    same = [["test=[flip]"], ["testing_x=1", "++test.flip.seed=2"], ["test.flip.seed=3"]]
    Sweep.of(members).write(members, {one.id: same})
    assert Sweep.read(runs, names(runs)[0]).also == {one.id: ("testing_x=1",)}


def test_a_choice_that_is_an_axis_may_bring_its_own_options(runs):
    _, before = sweep(SHORT, "head=none,aspp", "sweep=mine")
    _, after = sweep(SHORT, "head=deeplabv3plus", "sweep=mine")
    assert (len(before), len(after)) == (2, 3)


def test_an_unnamed_sweep_of_other_members_is_another(runs):
    first, _ = sweep(SHORT, "seed=0,1")
    other, _ = sweep(SHORT, "seed=1,2")
    assert first != other
    assert sweep(SHORT, "seed=0,1,2")[0] == first, "both are in it: the older"
    assert len(names(runs)) == 2


def test_the_same_sweep_elsewhere_and_on_another_host(runs, tmp_path, monkeypatch):
    name, before = sweep(SHORT, "seed=0,1", "sweep=mine")
    for run_id in before:
        Journal(runs, name).note(run_id, BEGAN)
    shutil.copytree(runs, tmp_path / "elsewhere")
    shutil.rmtree(runs)
    monkeypatch.setenv("SEGSWEEP_RUNS", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    again = sweep(
        SHORT, "seed=2,1,0", "sweep=mine", "num_workers=2", "trainer.log_every=7", "data_dir=/there"
    )
    assert again[0] == name
    assert before.items() <= again[1].items()
    for run_id in before:
        Journal(tmp_path / "elsewhere", name).note(run_id, DONE)
    states = Journal(tmp_path / "elsewhere", name).states()
    assert {(e.state, e.attempt, e.host) for e in states.values()} == {(DONE, 2, "another")}


def test_a_name_given_to_other_settings_is_refused_with_what_differs(runs, capfd):
    _, before = sweep(SHORT, "seed=0,1", "sweep=mine")
    assert command("trainer.max_steps=5", "optimizer.lr=0.5", "seed=0,1,2", "sweep=mine") == 2
    err = capfd.readouterr().err
    assert "sweep=mine: none of its 2 runs is asked for" in err
    assert "trainer.max_steps was 3 and is 5" in err
    assert "optimizer.lr was" in err
    assert "as an axis (" in err
    assert command(SHORT, "head=aspp", "head.width=8", "seed=0,1", "sweep=mine") == 2
    err = capfd.readouterr().err
    assert "head was none and is aspp; give" in err, "and not its options"
    assert {member.run for member in Journal(runs, "mine").members()} == set(before)
    _, after = sweep("trainer.max_steps=3,5", "seed=0,1", "sweep=mine")
    assert before.items() < after.items()
    assert len(sweep("trainer.max_steps=7,9", "seed=0", "sweep=mine")[1]) == 6, "it is an axis now"


def test_a_tables_seeds_may_come_one_by_one():
    sweep(SHORT, "head=none,aspp", "head.width=8", "seed=0", "sweep=mine")
    assert len(sweep(SHORT, "head=none,aspp", "head.width=8", "seed=1", "sweep=mine")[1]) == 4


def test_of_a_chain_the_stage_is_named(capfd):
    common = ("stages=chain", "seed=0,1", "sweep=mine")
    _, before = sweep(*common)
    assert command(*common, "stages.first.optimizer.lr=0.5") == 2
    assert "stages.first.optimizer.lr was 0.01 and is 0.5;" in capfd.readouterr().err
    assert command(*common, "stages.first.batch_size=2", "stages.second.batch_size=2") == 2
    assert "batch_size was 4 and is 2;" in capfd.readouterr().err
    _, after = sweep(*common, "stages.second.optimizer.lr=0.5")
    assert before.items() < after.items(), "with the first stage in common it is a new axis"


def test_runs_that_were_removed_keep_their_numbers(runs, caplog, capsys, monkeypatch):
    name, before = sweep(SHORT, "seed=0,1,2", "sweep=mine")
    gone = next(run_id for run_id, number in before.items() if number == 2)
    assert run("rm", gone, f"runs_dir={runs}", "yes=true") == 0
    monkeypatch.setattr(logging.getLogger("segsweep"), "propagate", True)
    assert len(Sweep.read(runs, name).runs) == 2
    assert f"1 of its 3 runs were removed: {gone}" in caplog.text
    capsys.readouterr()
    run("sweeps", f"runs_dir={runs}", "format=json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["members"], row["planned"], row["removed"]) == (3, 2, 1)
    assert sweep(SHORT, "seed=0,1,2", "sweep=mine") == (name, before)
    assert len(Sweep.read(runs, name).runs) == 3


def test_batches_are_one_sweep(runs):
    name, numbers = sweep(SHORT, "seed=0,1,2", "hydra.sweeper.max_batch_size=1")
    assert names(runs) == [name]
    one = launched(*OPEN, SHORT, "seed=0,1,2", "hydra.sweeper.max_batch_size=1")
    assert [folder.id for folder in one.runs] == list(numbers)
    assert one.label(one.runs[2]) == "seed=2"
    assert sweep(SHORT, "seed=0,1,2") == (name, numbers)


def test_runs_sweeps_lists_and_runs_numbers(runs, capsys):
    _, numbers = sweep(SHORT, "seed=5,3", "sweep=mine")
    assert sweep(SHORT, "seed=3,4", "sweep=b/other")[0] == "b/other"
    ids = list(numbers)
    journal = Journal(runs, "mine")
    journal.note(ids[1], LEFT_OUT, reason="poor")
    Sweep.read(runs, "mine").runs[0].update_status(state="done")
    capsys.readouterr()
    run("sweeps", f"runs_dir={runs}", "format=json")
    other, mine = json.loads(capsys.readouterr().out)
    assert (other["sweep"], other["members"], other["planned"], other["last"]) == ("b/other", 2, 2, None)
    assert (mine["done"], mine["left out"], mine["planned"]) == (1, 1, 0)
    assert (mine["host"], round(mine["last"])) == (
        socket.gethostname(),
        round(journal.states()[ids[1]].time),
    )
    run("sweeps", f"runs_dir={runs}")
    assert "interrupted" not in capsys.readouterr().out, "no column for what is not there"
    rows = listed(runs, capsys, "sweep=mine")
    assert [(row["number"], row["seed"]) for row in rows.values()] == [(1, 5), (2, 3)]
    run(f"runs_dir={runs}", "sweep=mine", "format=csv")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", *ids], "the tutorial cuts the first column"
    run("show", ids[1], f"runs_dir={runs}", "format=json")
    assert json.loads(capsys.readouterr().out)[0]["sweeps"] == {"b/other": 1, "mine": 2}


def test_many_processes_of_one_sweep_are_refused(monkeypatch, capfd, runs):
    for key, value in {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(key, value)
    assert command(SHORT, "seed=0,1") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "torchrun or srun started 4 of this sweep at once" in line
    assert not list(Path(runs).glob("*/plan.json"))
