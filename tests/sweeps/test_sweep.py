"""Sweeps in real processes: planned as a whole, one process a run, failures kept apart."""

import json
import statistics

import pytest

from segsweep.evaluation.protocol import read_test
from tests.support.commands import TINY, segsweep, table

FREE_HEAD = tuple(option for option in TINY if not option.startswith("head"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two heads and two seeds; one of the four members cannot be trained: its weights are not a network's."""
    folder = tmp_path_factory.mktemp("swept")
    result = segsweep(
        "train",
        "-m",
        *FREE_HEAD,
        "head=none,aspp",
        "head.width=8",
        "seed=0,1",
        "test=[single,flip]",
        "sweep=mine",
        cwd=folder,
    )
    return folder, result


def test_a_sweep_trains_every_member_and_closes_with_a_table(swept):
    folder, result = swept
    rows = table("runs", cwd=folder)
    assert sorted((row["head"], row["seed"], row["state"]) for row in rows) == [
        (head, seed, "done") for head in ("aspp", "none") for seed in (0, 1)
    ]
    assert "4 members, 4 runs" in result.stderr
    assert all(word in result.stdout for word in ("head", "none", "aspp", "single", "flip", "±"))


def test_the_table_is_mean_and_std_over_seeds(swept):
    folder, _ = swept
    for row in table("report", "sweep=mine", cwd=folder):
        runs = [r["id"] for r in table("runs", cwd=folder) if r["head"] == row["head"]]
        mious = [read_test(folder / "runs" / run / "tests" / "flip").metrics.miou for run in runs]
        assert row["flip"] == pytest.approx(statistics.mean(mious))
        assert row["flip_std"] == pytest.approx(statistics.stdev(mious))
        assert row["flip_seeds"] == 2


def test_the_same_sweep_again_trains_nothing(swept):
    folder, _ = swept
    again = segsweep(
        "train", "-m", *FREE_HEAD, "head=aspp,none", "head.width=8", "seed=1,0", "test=[flip]", cwd=folder
    )
    assert again.stderr.count("done already") == 4


def test_a_member_that_fails_leaves_the_others_and_is_named(tmp_path):
    """One raises, one exits, one is killed, one is sound."""
    (tmp_path / "conf" / "head").mkdir(parents=True)
    (tmp_path / "conf" / "head" / "fails.yaml").write_text("_target_: fails.Fails\nhow: raise\n")
    (tmp_path / "fails.py").write_text(
        "import os, signal, sys\n"
        "from segsweep.networks.heads.none import NoPyramid\n"
        "class Fails(NoPyramid):\n"
        "    def __init__(self, channels, reductions, num_classes, how):\n"
        "        super().__init__(channels, reductions, num_classes, width=8)\n"
        "        self.how = how\n"
        "    def forward(self, features):\n"
        "        if self.how == 'raise':\n"
        "            raise MemoryError('not enough of it')\n"
        "        if self.how == 'exit':\n"
        "            sys.exit(7)\n"
        "        if self.how == 'kill':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().forward(features)\n"
    )
    result = segsweep(
        "train", "-m", *FREE_HEAD, "head=fails", "head.how=raise,exit,kill,no", cwd=tmp_path, status=1
    )
    states = {row["head.how"]: row["state"] for row in table("runs", cwd=tmp_path)}
    assert states == {"raise": "failed", "exit": "failed", "kill": "interrupted", "no": "done"}
    assert "3 of 4 runs failed" in result.stdout
    for reason in ("MemoryError: not enough of it", "its code called exit(7)", "killed by SIGKILL"):
        assert reason in result.stdout


def test_a_wrong_member_stops_the_sweep_before_anything_runs(tmp_path):
    arguments = ("train", "-m", *FREE_HEAD, "head=none,ksac,aspp", "head.rates=[1,2],[0]")
    result = segsweep(*arguments, cwd=tmp_path, status=2)
    assert "2 of 5 members cannot be built" in result.stderr
    assert "head.rates=[0]" in result.stderr
    assert list(tmp_path.glob("runs/*/plan.json")) == []


def test_skip_invalid_leaves_them_out_with_a_line_each(tmp_path):
    arguments = (
        "train",
        "-m",
        *FREE_HEAD,
        "head=aspp",
        "head.rates=[1,2],[0]",
        "skip_invalid=true",
        "test=[]",
    )
    result = segsweep(*arguments, cwd=tmp_path)
    assert result.stderr.count("skipped head.rates=[0]: head.rates") == 1
    assert [row["state"] for row in table("runs", cwd=tmp_path)] == ["done"]


def test_members_that_are_one_run_train_once_with_the_tests_of_both(tmp_path):
    result = segsweep("train", "-m", *TINY, "optimizer.lr=0.01,1e-2", "test=[single],[flip]", cwd=tmp_path)
    assert "4 members, 1 runs" in result.stderr
    (plan,) = tmp_path.glob("runs/*/plan.json")
    assert {path.name for path in (plan.parent / "tests").iterdir()} == {"single", "flip"}


@pytest.mark.slow
def test_rows_of_an_experiment_are_combined_with_the_command_line(tmp_path):
    (tmp_path / "conf" / "experiments").mkdir(parents=True)
    (tmp_path / "conf" / "experiments" / "mine.yaml").write_text(
        "# @package _global_\n"
        "sweep: mine\n"
        "hydra:\n"
        "  mode: MULTIRUN\n"
        "  sweeper:\n"
        "    rows: [head=none, 'head=aspp head.rates=[1,2]']\n"
    )
    options = [option for option in FREE_HEAD if "seed" not in option]
    segsweep(
        "train", "-m", "+experiments=mine", *options, "head.width=8", "seed=0,1", "test=[]", cwd=tmp_path
    )
    record = json.loads((tmp_path / "runs" / "sweeps" / "mine.json").read_text())
    assert len(record["runs"]) == 4
    rates = [row.get("head.rates") for row in table("runs", cwd=tmp_path)]
    assert len(rates) == 4
