"""Leaving out poor members: who they are, under every kind of launcher, and what becomes of them."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from segsweep import cli
from segsweep.commands.closing import print_closing
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.sweeps.early_stop import poor
from segsweep.sweeps.launchers import local
from segsweep.sweeps.sweep import Call, names
from tests.support import inside
from tests.support.in_process import listed
from tests.support.inside import OPEN, AttemptInside, attempts_inside, launched

CHAIN = """first: {trainer: {max_steps: 2, val_every: 2}}
second: {trainer: {max_steps: 1}, optimizer: {lr: 0.001}}
last: {trainer: {max_steps: 1}, optimizer: {lr: 0.002}}
"""
EARLY = (*OPEN, "stages=chain", "head.width=8", "checkpoint.every=9", "test=[]", "early_stop=median")


@pytest.fixture(autouse=True)
def chain(tmp_path, monkeypatch, runs):
    """A chain in a folder of the user's own."""
    (tmp_path / "conf" / "stages").mkdir(parents=True)
    (tmp_path / "conf" / "stages" / "chain.yaml").write_text(CHAIN)
    (tmp_path / "conf" / "stages" / "short.yaml").write_text("".join(CHAIN.splitlines(keepends=True)[:2]))
    monkeypatch.setenv("SEGSWEEP_CONF", str(tmp_path / "conf"))
    monkeypatch.setenv("SEGSWEEP_RUNS", str(runs))


@pytest.fixture
def figures(monkeypatch) -> dict[tuple[str, int], float | None]:
    """Training takes no time: val mIoU by stage and seed, to be filled; None fails."""
    found: dict[tuple[str, int], float | None] = {}

    def train(folder: RunFolder, *_: str) -> None:
        miou = found[folder.plan.stage, folder.config()["seed"]]
        if miou is None:
            folder.update_status(
                state="failed", error="a fault to order", failure={"class": "data", "log": []}
            )
            raise RuntimeError
        folder.update_status(state="done", step=folder.config()["trainer"]["max_steps"], val_miou=miou)

    monkeypatch.setattr(inside, "run", train)
    monkeypatch.setattr(Call, "check", lambda self, member: None)
    monkeypatch.setattr(local, "POLL", 0.0)
    attempts_inside(monkeypatch)
    return found


def sweep(*overrides: str) -> int:
    """The exit status of a sweep that leaves out poor members."""
    return cli.run(["train", "-m", *EARLY, *overrides])


def states(runs: Path) -> dict[tuple[str, int], str]:
    """By stage and seed."""
    found = all_runs(runs)
    return {(run.plan.stage, run.config()["seed"]): run.status().state for run in found}


@pytest.mark.parametrize("launcher", ["segsweep", "pool", "basic"])
def test_who_goes_on_is_who_numpy_says(launcher, figures, runs, capfd):
    """Seven chains with a tie, a nought and a failure; the median is that of the runs that got so far."""
    firsts = {0: 0.3, 1: 0.5, 2: None, 3: 0.5, 4: 0.0, 5: 0.7, 6: 0.6}
    figures |= {("first", seed): miou for seed, miou in firsts.items()}
    figures |= {("second", seed): miou for seed, miou in {1: 0.2, 3: 0.4, 5: 0.3, 6: 0.1}.items()}
    figures |= {("last", seed): 0.9 for seed in firsts}
    options = ("hydra.launcher.runs_per_gpu=2", "hydra.launcher.gpus=none") if launcher == "pool" else ()
    done = launched(*EARLY, "seed=0,1,2,3,4,5,6", f"hydra/launcher={launcher}", *options)
    print_closing(done)
    told, rest = states(runs), [miou for miou in firsts.values() if miou is not None]
    second = {s for s, miou in firsts.items() if miou is not None and miou >= np.median(rest)}
    assert second == {1, 3, 5, 6}
    assert {seed for stage, seed in told if told[stage, seed] == "done" and stage == "second"} == second
    last = {s for s in second if figures["second", s] >= np.median([figures["second", s] for s in second])}
    assert {seed for stage, seed in told if told[stage, seed] == "done" and stage == "last"} == last
    assert last == {3, 5}
    by_id = {run.id: (run.plan.stage, run.config()["seed"]) for run in done.runs}
    assert {by_id[id] for id in done.left_out} == {
        ("second", 0), ("second", 4), ("last", 0), ("last", 4), ("last", 1), ("last", 6),
    }  # fmt: skip
    assert {by_id[id] for id in done.reasons} == {("first", 2), ("second", 2), ("last", 2)}
    out = capfd.readouterr().out
    assert "6 of 21 runs were left out" in out
    assert "val mIoU 30.00 % of its parent" in out
    assert "below the median 50.00 % of 6 runs" in out


def test_left_out_is_no_failure_and_may_be_had_later(figures, runs, capsys):
    figures |= {(stage, seed): 0.1 * (seed + 1) for stage in ("first", "second") for seed in range(6)}
    assert sweep("stages=short", "seed=0,1,2") == 0
    rows = listed(runs, capsys, f"sweep={names(runs)[0]}")
    assert [r["state"] for r in rows.values() if r["stage"] == "second"] == ["planned", "done", "done"]
    lower = {("first", seed): 0.01 for seed in (3, 4, 5)}
    figures |= lower
    assert sweep("stages=short", "seed=0,1,2,3,4,5") == 0, "with more members the median is a lower one"
    found = {seed: state for (stage, seed), state in states(runs).items() if stage == "second"}
    expected = np.median([0.1, 0.2, 0.3, 0.01, 0.01, 0.01])
    assert found == {s: "done" if figures["first", s] >= expected else "planned" for s in range(6)}
    assert sweep("stages=short", "seed=0,1,2,3,4,5", "early_stop=null") == 0
    assert set(states(runs).values()) == {"done"}


def test_two_runs_have_no_median(figures, runs):
    figures |= {(stage, seed): 0.1 * (seed + 1) for stage in ("first", "second") for seed in range(2)}
    assert sweep("stages=short", "seed=0,1") == 0
    assert set(states(runs).values()) == {"done"}


def test_what_has_begun_goes_on(figures, runs):
    """A run that was interrupted before the median rose is not left half done."""
    figures |= {(stage, seed): 0.1 * (seed + 1) for stage in ("first", "second") for seed in range(4)}
    assert sweep("stages=short", "seed=0,1,2,3") == 0
    half = next(r for r in all_runs(runs) if (r.plan.stage, r.config()["seed"]) == ("second", 0))
    half.update_status(state="interrupted", step=1)
    assert sweep("stages=short", "seed=0,1,2,3") == 0
    assert half.status().state == "done"


@pytest.mark.parametrize("seed", range(5))
def test_in_a_pool_no_run_begins_before_all_that_it_is_compared_with_have_ended(
    seed, figures, runs, monkeypatch
):
    """Runs take their time, each another one."""
    chance, at_work, told = random.Random(seed), [], []

    class Slow(AttemptInside):
        def __init__(self, folder: RunFolder, train: bool, **environment: str) -> None:
            at_work.append(folder)
            told.append((folder.plan.stage, sorted(other.plan.stage for other in at_work)))
            super().__init__(folder, train)
            left = [chance.randrange(8)]

            def poll() -> int | None:
                left[0] -= 1
                if left[0] > 0:
                    return None
                at_work.remove(folder) if folder in at_work else None
                return 0

            self.process.poll = poll

    monkeypatch.setattr(local, "Attempt", Slow)
    figures |= {(stage, s): s / 9 for stage in ("first", "second") for s in range(9)}
    pool = ("hydra/launcher=pool", "hydra.launcher.gpus=none", "hydra.launcher.runs_per_gpu=4")
    assert sweep("stages=short", "seed=0,1,2,3,4,5,6,7,8", *pool) == 0
    assert [stage for stage, _ in told] == 9 * ["first"] + 5 * ["second"]
    assert all("first" not in others for stage, others in told if stage == "second")
    assert max(len(others) for _, others in told) == 4


def test_poor_is_below_the_median_of_all_that_are_done(tmp_path):
    chance = np.random.default_rng(0)
    for count in range(1, 12):
        folders = [RunFolder(tmp_path / f"{count}-{number}") for number in range(count)]
        mious = chance.choice([0.0, 0.1, 0.2, 0.25, 0.3], count)
        for folder, miou in zip(folders, mious, strict=True):
            folder.path.mkdir()
            folder.update_status(state="done", step=1, val_miou=float(miou))
        found = [poor(folder, folders) is not None for folder in folders]
        assert found == list((mious < np.median(mious)) & (count >= 3))


def test_for_real(runs, monkeypatch):
    """Four chains, trained: what the first stages measured decides."""
    attempts_inside(monkeypatch)
    monkeypatch.setattr(local, "POLL", 0.0)
    assert sweep("stages=short", "seed=0,1,2,3", "dataset.val_images=2") == 0
    measured = {r.id: r.status().val_miou for r in all_runs(runs) if r.plan.stage == "first"}
    seconds = [r for r in all_runs(runs) if r.plan.stage == "second"]
    found = {r.plan.parent: r.status().state for r in seconds}
    median = np.median(list(measured.values()))
    assert found == {id: "done" if miou >= median else "planned" for id, miou in measured.items()}
    assert 0 < list(found.values()).count("planned") < 3
    assert not any(math.isnan(miou) for miou in measured.values())
