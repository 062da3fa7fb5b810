"""A pool of real processes: two runs at a time, some killed, and the bits of one that nothing disturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from segsweep.planning.plan import write
from segsweep.runs.folder import RunFolder
from tests.commands.test_terminal import on_a_terminal
from tests.support.commands import TINY, command, environment, segsweep, table
from tests.support.composing import member
from tests.support.inside import ROOT

# Checkpoints are due at validations alone: what a stopped run has, it wrote because it was asked to stop.
POOL = (*TINY, "trainer.max_steps=60", "trainer.val_every=30", "checkpoint.every=1000", "hydra/launcher=pool")
TWO = "hydra.launcher.runs_per_gpu=2"
WITHIN = 60.0


def sweep(seeds: int, *options: str) -> tuple[str, ...]:
    return ("train", "-m", *POOL, f"seed={','.join(map(str, range(seeds)))}", "sweep=mine", TWO, *options)


def until(what: Callable[[], Any], seconds: float = 120) -> Any:
    """What it gives, once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def runs(folder: Path) -> dict[int, Path]:
    """The run folders by seed."""
    plans = {path: json.loads(path.read_text()) for path in folder.glob("runs/*/plan.json")}
    return {plan["identity"]["seed"]: path.parent for path, plan in plans.items()}


def states(folder: Path) -> list[str]:
    """What the runs are, whatever their files say of a process that is gone."""
    return [RunFolder(run).status().state for run in runs(folder).values()]


def pid_of(run: Path) -> int:
    return json.loads((run / "lease.json").read_text())["pid"]


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def steps(run: Path) -> int:
    """The step that metrics.csv shows last; 0 where there is none."""
    lines = (run / "metrics.csv").read_text().splitlines() if (run / "metrics.csv").exists() else []
    return int(lines[-1].split(",")[0]) if len(lines) > 1 else 0


def moved(folder: Path) -> list[Path]:
    """Runs that are in training in a process: one holds them, and their step grows while one looks."""
    before = {run: steps(run) for run in runs(folder).values() if (run / "lease.json").exists()}
    time.sleep(0.3)
    return [run for run, step in before.items() if steps(run) > step and (run / "lease.json").exists()]


def processes(folder: Path) -> list[int]:
    """All that work in this folder: a launcher, its runs, their loader processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and "Z" not in state_of(process):
                found.append(int(process.name))
        except OSError:  # gone meanwhile
            continue
    return found


def state_of(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Three runs, and what a terminal showed meanwhile."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, on_a_terminal(*sweep(3), cwd=folder)


def test_a_terminal_shows_a_row_for_each_run_and_where_it_stands(undisturbed):
    _, seen = undisturbed
    drawings = seen.split("\x1b[2K")
    assert any("seed=0" in one and "training" in one and "/60" in one and "cpu" in one for one in drawings)
    assert any("1 waiting" in one and "2 running" in one for one in drawings)
    assert "2 done, 1 running; about 0:0" in seen
    assert "[1/3] seed=0: run " in seen
    assert "[3/3] seed=2: done in " in seen
    assert "3 running" not in seen


def test_cores_are_those_that_the_environment_says(undisturbed):
    folder, _ = undisturbed
    threads = {json.loads((run / "environment.json").read_text())["threads"] for run in runs(folder).values()}
    assert threads == {1}


@pytest.mark.stress
def test_eight_members_killed_and_interrupted_end_as_if_nothing_had_been(undisturbed, tmp_path):
    """Eight, two at a time: a member killed, the launcher killed, SIGTERM, Ctrl-C once and twice."""
    arguments = sweep(8, "num_workers=1")
    a_member_is_killed_and_then_the_launcher(arguments, tmp_path)
    the_launcher_is_asked_to_end(arguments, tmp_path, signal.SIGTERM, status=143)
    the_launcher_is_asked_to_end(arguments, tmp_path, signal.SIGINT, status=130)
    the_keyboard_asks_twice(arguments, tmp_path)
    the_rest_is_done(arguments, tmp_path, undisturbed[0])


@pytest.mark.slow
@pytest.mark.parametrize("reuse", ["false", "true"])
def test_a_killed_member_and_a_killed_launcher_leave_no_process_and_no_other_bits(
    undisturbed, tmp_path, reuse
):
    arguments = sweep(3, "num_workers=1", f"hydra.launcher.reuse={reuse}")
    a_member_is_killed_and_then_the_launcher(arguments, tmp_path)
    the_launcher_is_asked_to_end(arguments, tmp_path, signal.SIGINT, status=130)
    the_keyboard_asks_twice(arguments, tmp_path)
    the_rest_is_done(arguments, tmp_path, undisturbed[0])


def a_member_is_killed_and_then_the_launcher(arguments, folder) -> None:
    with started(folder, *arguments) as launcher:
        killed, other = until(lambda: len(found := moved(folder)) == 2 and found)
        pid = pid_of(killed)
        assert [p for p in processes(folder) if group_of(p) == pid and p != pid], "its loader"
        os.kill(pid, signal.SIGKILL)
        until(lambda: (status(killed).get("failure") or {}).get("class") == "killed")
        assert (status(killed)["state"], status(killed)["error"]) == ("interrupted", "killed by SIGKILL")
        until(lambda: not [p for p in processes(folder) if group_of(p) == pid], 5)  # killed, and soon gone
        assert steps(other) < 60
        assert launcher.poll() is None
        training = until(lambda: [run for run in moved(folder) if run != killed])
        launcher.kill()
        until(lambda: processes(folder) == [], WITHIN)
    assert "running" not in states(folder)
    assert_saved(training)
    assert not (killed / "checkpoints" / "last.ckpt").exists()


def the_launcher_is_asked_to_end(arguments, folder, signum, status) -> None:
    """The members save at the end of their step; what waits is not started."""
    with started(folder, *arguments) as launcher:
        training = until(lambda: moved(folder))
        planned = written(folder).count("planned")
        launcher.send_signal(signum)
        said, _ = launcher.communicate(timeout=WITHIN)
        assert launcher.returncode == status, said
    assert processes(folder) == []
    assert "Traceback" not in said
    assert "the same command goes on" in said
    assert written(folder).count("planned") == planned
    assert "running" not in written(folder)
    assert_saved(training)


def the_keyboard_asks_twice(arguments, folder) -> None:
    with started(folder, *arguments) as launcher:
        until(lambda: moved(folder))
        launcher.send_signal(signal.SIGINT)
        time.sleep(0.05)  # two at once are one
        launcher.send_signal(signal.SIGINT)
        said, _ = launcher.communicate(timeout=WITHIN)
        assert launcher.returncode == 130, said
    assert processes(folder) == []
    assert "running" not in written(folder)
    assert "Traceback" not in said


def the_rest_is_done(arguments, folder, undisturbed) -> None:
    """To the end, with one more member killed, which is tried again."""
    with started(folder, *arguments, "retries=1") as launcher:
        # One far from its end: of those that were asked to end, some have few steps to go.
        killed = until(lambda: [run for run in moved(folder) if steps(run) < 40])[0]
        os.kill(pid_of(killed), signal.SIGKILL)
        said, _ = launcher.communicate(timeout=900)
        assert launcher.returncode == 0, said
    assert ": killed by SIGKILL" in said
    assert "trying again, 1 of 1 times" in said
    assert f"{len(runs(folder))} runs as before" in said
    assert states(folder) == ["done"] * len(runs(folder))
    for seed, run in runs(undisturbed).items():
        before, after = weights(run), weights(runs(folder)[seed])
        assert [name for name in before if not torch.equal(before[name], after[name])] == []


def assert_saved(training: list[Path]) -> None:
    """Those that were in training are done, or saved at their last step (the one before a validation's)."""
    for run in training:
        saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
        assert status(run)["state"] == "done" or saved >= steps(run) - 1


def written(folder: Path) -> list[str]:
    return [status(run)["state"] for run in runs(folder).values()]


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("gpus=77,88", "hydra.launcher.gpus=[77, 88]: no GPU 77, 88; known: "),
        ("runs_per_gpu=0", "hydra.launcher.runs_per_gpu=0: expected a number of at least 1"),
        ("reuse=2", "hydra.launcher.reuse=2: expected true or false"),
        ("run_per_gpu=2", "did you mean runs_per_gpu"),
    ],
)
def test_a_wrong_option_of_the_pool_is_one_line(tmp_path, option, told):
    result = segsweep("train", "-m", *POOL, f"hydra.launcher.{option}", cwd=tmp_path, status=2)
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


HEAD = """
import os, sys
from segsweep.networks.heads.none import NoPyramid
from tests.support.faulty import allocate

class Fails(NoPyramid):
    def __init__(self, channels, reductions, num_classes, how):
        super().__init__(channels, reductions, num_classes, width=8)
        self.how = how

    def forward(self, features):
        if self.how == "raise":
            raise ValueError("a head's own [mistake]")
        if self.how == "memory":
            allocate(2**30, at_most=2**28)
        if self.how == "leave":
            os._exit(0)
        return super().forward(features)
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A head that fails in several ways: what the sweep printed."""
    folder = tmp_path_factory.mktemp("failing")
    (folder / "conf" / "head").mkdir(parents=True)
    (folder / "conf" / "head" / "fails.yaml").write_text("_target_: fails.Fails\nhow: raise\n")
    (folder / "fails.py").write_text(HEAD)
    own = tuple(option for option in POOL if not option.startswith("head"))
    arguments = (
        "train",
        "-m",
        *own,
        "trainer.max_steps=4",
        "trainer.val_every=4",
        "head=fails",
        "sweep=failing",
    )
    return folder, arguments, {"PYTHONPATH": str(ROOT)}


def test_each_failure_is_told_with_its_class_what_to_do_and_its_log(failing):
    folder, arguments, env = failing
    result = segsweep(*arguments, TWO, "head.how=raise,memory,leave,no", cwd=folder, status=1, **env)
    rows = {row["head.how"]: row for row in table("runs", cwd=folder)}
    assert {how: row["state"] for how, row in rows.items()} == {
        "raise": "failed", "memory": "failed", "leave": "failed", "no": "done",
    }  # fmt: skip
    assert {how: row["failure"] for how, row in rows.items()} == {
        "raise": "unknown", "memory": "out of memory", "leave": "unknown", "no": None,
    }  # fmt: skip
    assert "3 of 4 runs failed" in result.stdout
    for told in (
        "ValueError: a head's own [mistake]", "exit status 0 before its end",
        "trainer.on_oom=shrink, a larger trainer.accumulate_grad_batches", "read the end of its log",
    ):  # fmt: skip
        assert told in result.stdout
    assert f"the end of {Path('runs', rows['raise']['id'], 'log.txt')} (head.how=raise):" in result.stdout
    assert 'raise ValueError("a head\'s own [mistake]")' in result.stdout
    shown = segsweep("runs", "show", rows["memory"]["id"], cwd=folder, **env)
    assert "trainer.on_oom=shrink" in shown.stdout


def test_on_failure_stop_starts_no_further_runs(failing):
    folder, arguments, env = failing
    stop = (*arguments, "on_failure=stop", "head.how=raise,no", "seed=7", "runs_dir=stopped")
    result = segsweep(*stop, cwd=folder, status=1, **env)
    assert "on_failure=stop: 1 runs are not started" in result.stderr
    found = [status(plan.parent)["state"] for plan in folder.glob("stopped/*/plan.json")]
    assert sorted(found) == ["failed", "planned"]
    assert "1 of 2 runs failed" in result.stdout


HOLD = (
    "import sys; from pathlib import Path; from segsweep.runs.folder import RunFolder\n"
    "with RunFolder(Path(sys.argv[1])).hold(): print('held', flush=True); sys.stdin.read()"
)


@pytest.mark.slow
def test_what_others_hold_waits_without_a_place_and_two_pools_train_each_run_once(tmp_path):
    """A run is held from outside; two pools of one place each share the rest, then the held one is freed."""
    short = ("trainer.max_steps=4", "trainer.val_every=4")
    own = [option for option in (*POOL, *short) if not option.startswith("hydra")]
    held = write(member(*own, "seed=0", f"runs_dir={tmp_path / 'runs'}")).path
    arguments = (*sweep(3), *short, "hydra.launcher.runs_per_gpu=1")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(held)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder, started(tmp_path, *arguments) as one, started(tmp_path, *arguments) as two:
        assert holder.stdout.readline() == "held\n"
        until(lambda: sorted(states(tmp_path)) == ["done", "done", "planned"])
        assert steps(held) == 0
        holder.stdin.close()
        said = [pool.communicate(timeout=120)[0] for pool in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0), said
    assert all("seed=0: held by process" in text for text in said)
    for run in runs(tmp_path).values():
        assert (run / "log.txt").read_text().count("starting from") == 1
    assert states(tmp_path) == ["done"] * 3
