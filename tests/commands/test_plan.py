"""`segsweep plan`: what would be done, what it costs, and all that is wrong, with nothing written."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.config import groups as config_files
from segsweep.planning.plan import write
from segsweep.runs.documents import write_json
from segsweep.runs.folder import RunFolder
from tests.commands.test_user_errors import complaint
from tests.support.composing import member

CHAIN = """first: {trainer: {max_steps: 30}, optimizer: {lr: 0.01}}
second: {trainer: {max_steps: 20}}
fine: {trainer: {max_steps: 10}, optimizer: {lr: 0.001}}
"""
AXES = """# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    params: {head: "none,aspp", seed: "range(3)"}
"""
SMALL = ("backbone=resnet18", "size=64")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, with a chain and an experiment of the user's own."""
    conf = tmp_path / "own"
    for group, name, text in (("stages", "chain", CHAIN), ("experiments", "axes", AXES)):
        (conf / group).mkdir(parents=True)
        (conf / group / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("SEGSWEEP_CONF", str(conf))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def planned(capfd, *arguments, status=0):
    """What the command prints as JSON."""
    assert cli.run(["plan", *arguments, "format=json"]) == status
    return json.loads(capfd.readouterr().out)


def runs(capfd, *arguments) -> list[str]:
    """The labels of the runs of a plan."""
    return [row["run"] for row in planned(capfd, *SMALL[1:], *arguments)["runs"]]


def test_chains_share_their_parents(capfd, folder):
    """2 heads × 2 seeds × 3 last rates: 4 firsts, 4 seconds and 12 lasts instead of 12 chains of 60 steps."""
    axes = ("head=none,aspp", "seed=0,1", "stages.fine.optimizer.lr=1e-3,2e-3,3e-3")
    found = planned(capfd, "-m", *SMALL, "stages=chain", *axes, "batch_size=4")
    rows, totals = found["runs"], found["totals"]
    assert [sum(row["stage"] == s for row in rows) for s in ("first", "second", "fine")] == [4, 4, 12]
    assert totals["steps"] == 4 * 30 + 4 * 20 + 12 * 10
    assert totals["steps_saved"] == 12 * 60 - totals["steps"]
    assert totals["images"] == 4 * totals["steps"]
    assert (totals["members"], totals["runs"], totals["to_do"]) == (12, 20, 20)
    assert totals["shared_parents"] == 4, "each second has three children, each first only one"
    where = {row["id"]: place for place, row in enumerate(rows)}
    assert all(where[row["parent"]] < where[row["id"]] for row in rows if row["parent"])
    hours = {head: next(r["gpu_hours"] / r["steps"] for r in rows if head in r["run"]) for head in ("aspp",)}
    assert totals["longest_chain_hours"] == pytest.approx(60 * hours["aspp"])
    assert list(folder.iterdir()) == [], "nothing is written"


def test_duplicates_are_named(capfd):
    found = planned(capfd, "-m", *SMALL, "optimizer.lr=0.1,0.2,1e-1", "batch_size=8,8.0", status=2)
    assert found["problems"][0]["message"].startswith("batch_size=8.0: expected a whole number")
    assert found["duplicates"] == [["backbone=resnet18 size=64 optimizer.lr=0.1 batch_size=8"] * 2]
    totals = found["totals"]
    assert (totals["members"], totals["runs"], totals["duplicates"]) == (6, 2, 1)


def test_all_that_is_wrong_is_told_with_its_member(capfd):
    wrong = ("-m", *SMALL, "head=none,aspp", "seed=0,1,x", "head.width=0,8", "dataset=camvid")
    found = planned(capfd, *wrong, "data_dir=nowhere", status=2)
    told = {tuple(sorted(problem["members"])): problem["message"] for problem in found["problems"]}
    types = tuple(f"head={h} seed=x head.width={w}" for h in ("aspp", "none") for w in (0, 8))
    assert told.pop(types).startswith("seed=x: expected a whole number")
    missing = next(
        members for members, message in told.items() if "nowhere/camvid: no such folder" in message
    )
    assert len(missing) == 8, "a width of nothing does not hide them"
    assert "701_StillsRaw_full" in told.pop(missing), "how to get it"
    widths = {name for members in told for name in members}
    assert widths == {f"head={head} seed={seed} head.width=0" for head in ("none", "aspp") for seed in (0, 1)}
    assert len(found["runs"]) == 4, "those without data can be counted"
    assert found["totals"]["members"] == 12


def test_problems_have_a_line_each_and_status_2(capfd):
    assert cli.run(["plan", "-m", *SMALL, "dataset=camvid", "data_dir=nowhere", "seed=range(9)"]) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("problem: seed=0, seed=1, seed=2 and 6 more: nowhere/camvid: no such folder")
    assert "gpu_hours" in printed.out
    assert "at tflops=10" in printed.out


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (
            ("head=aspp", "head.rates=[6,12],[1,6,12]"),
            ["head.rates=[6,12]", "head.rates=[1,6,12]"],
        ),
        (("head=glob(*aspp)",), ["head=aspp", "head=dual_aspp"]),
        (("head=glob(*aspp,exclude=dual*)", "seed=range(2)"), ["seed=0", "seed=1"]),
        (("seed=choice(4,5)",), ["seed=4", "seed=5"]),
        (("seed=range(1,6,step=2)",), ["seed=1", "seed=3", "seed=5"]),
        (
            ("+experiments=axes",),
            [f"head={head} seed={seed}" for head in ("none", "aspp") for seed in range(3)],
        ),
        (("+experiments=axes", "seed=7"), ["head=none", "head=aspp"]),
        (("experiments=axes", "seed=7,8", "head=ksac"), ["seed=7", "seed=8"]),
    ],
)
def test_hydras_axes(arguments, labels, capfd):
    assert runs(capfd, "-m", *arguments) == labels


def test_glob_over_encoders(capfd):
    labels = [f"backbone=mobilenetv3_{size}" for size in ("large", "small")]
    assert runs(capfd, "-m", "backbone=glob(mobilenetv3*)", "head=none") == labels


def test_hours_by_hand(capfd):
    """3 passes × 2 operations a MAC × images ÷ operations a second."""
    assert cli.run(["profile", *SMALL, "head=none", "input=64", "latency=false", "format=json"]) == 0
    (profile,) = json.loads(capfd.readouterr().out)
    found = planned(
        capfd, *SMALL, "head=none", "tflops=2.5", "trainer.max_steps=70", "batch_size=4", "gpus=2"
    )
    (row,) = found["runs"]
    assert row["gpu_hours"] == pytest.approx(3 * 2 * profile["gmacs"] * 1e9 * 70 * 4 / 2.5e12 / 3600)
    assert row["params_m"] == profile["params_m"]
    # One run cannot be shared out among two.
    assert found["totals"]["days"] == pytest.approx(row["gpu_hours"] / 24)
    assert row["by"] == "2.5 TFLOPS"


def test_runs_that_are_done_tell_the_pace(capfd, folder):
    """40 steps in 20 s on two ranks are a second of a GPU each; the half-done run has 50 steps left."""
    options = (*SMALL, "head=none", f"runs_dir={folder}")
    for seed, status in ((0, {"state": "done", "step": 40, "train_seconds": 20.0}), (1, {"step": 30})):
        run = write(member(*options, "trainer.max_steps=80", f"seed={seed}", "test=[]"))
        run.update_status(**({"state": "interrupted"} | status))
        write_json(run.path / "environment.json", {"gpus": ["GPU X"], "ranks": 2})
    found = planned(capfd, "-m", *options, "trainer.max_steps=80", "seed=0,1,2", "test=[]")
    done, half, new = found["runs"]
    assert [row["state"] for row in found["runs"]] == ["done", "interrupted at 30", "new"]
    assert (done["steps"], half["steps"], new["steps"]) == (0, 50, 80)
    assert new["gpu_hours"] == pytest.approx(80 / 3600)
    assert {row["by"] for row in found["runs"]} == {"measured on GPU X"}
    assert (found["totals"]["done"], found["totals"]["to_do"], found["totals"]["steps"]) == (1, 2, 130)
    other = planned(capfd, *options, "size=96", "test=[]")
    assert other["runs"][0]["by"] == "10 TFLOPS", "another crop has another pace"


def test_what_is_done_is_tested_still(capfd, folder):
    options = (*SMALL, "head=none", f"runs_dir={folder}")
    RunFolder(write(member(*options)).path).update_status(state="done", step=500)
    (row,) = planned(capfd, *options)["runs"]
    assert (row["state"], row["steps"]) == ("to test", 0)
    (row,) = planned(capfd, *options, "force=true")["runs"]
    assert (row["state"], row["steps"]) == ("again", 500)


def test_a_single_run_and_its_csv(capfd):
    assert cli.run(["plan", *SMALL, "head=none", "format=csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capfd.readouterr().out))
    assert (row["id"], row["state"]) == (member(*SMALL, "head=none").id, "new")


def test_a_thousand_members_of_which_four_are_wrong(capfd):
    seeds = ",".join(map(str, (*range(249), "x")))
    axes = (f"seed={seeds}", "head.rates=[1,2],[1,2,3]", "optimizer.lr=0.01,0.02")
    found = planned(capfd, "-m", *SMALL, *axes, status=2)
    assert found["totals"]["members"] == 1000
    assert found["totals"]["runs"] == len({row["id"] for row in found["runs"]}) == 996
    (problem,) = found["problems"]
    assert problem["message"] == "seed=x: expected a whole number, such as 0"
    assert problem["members"] == [
        f"seed=x head.rates={rates} optimizer.lr={lr}"
        for rates in ("[1,2]", "[1,2,3]")
        for lr in (0.01, 0.02)
    ]


def test_help(capfd):
    assert cli.run(["plan", "--help"]) == 0
    text = capfd.readouterr().out
    assert all(f"  {name}=" in text for name in ("format", "tflops", "gpus"))
    assert all(name in text for name in config_files.choices("head"))
    assert cli.run(["--help"]) == 0
    assert "  plan  " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("tflops=0", ("tflops=0", "above 0")),
        ("gpus=none", ("gpus=none", "at least 1")),
        ("format=xml", ("format=xml", "json")),
        ("heed=aspp", ("heed", "no such option")),
    ],
)
def test_wrong_arguments(argument, words, capfd):
    line = complaint(capfd, "plan", argument)
    assert [word for word in words if word not in line] == []
    assert not Path(os.environ.get("SEGSWEEP_RUNS", "runs")).exists()
