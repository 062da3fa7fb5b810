"""Killed with SIGKILL at any moment of a three-stage chain, as often as one likes: the bits stay the same.

`make test` kills a few times; `make stress` kills 30 times with 0 and with 2 loader processes, and prints
what docs/reliability.md reports. The data set is real where there is one (CamVid beside the checkout).
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.execution.test_resume import equal
from tests.shared import FOLDER
from tests.support.commands import command, environment, segsweep

CAMVID = FOLDER / "data" / "camvid"
STAGES = """# A short chain.
first: {dataset: {train_split: trainval}, trainer: {max_steps: 12, val_every: 4}, optimizer: {lr: 0.01}}
second: {trainer: {max_steps: 9, val_every: 3}, optimizer: {lr: 0.005}}
third: {trainer: {max_steps: 8, val_every: 4, freeze: [batch_norm]}, optimizer: {lr: 0.002}}
"""
RUN = (
    "stages=chain", "backbone=mobilenetv3_small", "head=aspp", "head.rates=[1,2]", "head.width=8", "size=64",
    "head.aux=[2]", "head.dropout=0.5", "batch_size=4", "trainer.accelerator=cpu", "trainer.log_every=1",
    "trainer.accumulate_grad_batches=2", "trainer.ema_decay=0.9", "checkpoint.every=2", "test=[single]",
)  # fmt: skip


def prepare(folder: Path) -> tuple[str, ...]:
    """The chain's file, and the small real data set (or the generated one); the command's arguments."""
    (folder / "conf" / "stages").mkdir(parents=True)
    stages = STAGES if CAMVID.exists() else STAGES.replace("trainval", "train")
    (folder / "conf" / "stages" / "chain.yaml").write_text(stages)
    if not CAMVID.exists():
        return (
            *RUN,
            "dataset=shapes",
            "dataset.train_images=20",
            "dataset.val_images=3",
            "dataset.test_images=4",
        )
    root = folder / "camvid"
    for split, count in (("train", 20), ("val", 3), ("test", 4)):
        stems = (CAMVID / f"{split}.txt").read_text().split()[:count]
        root.mkdir(exist_ok=True)
        (root / f"{split}.txt").write_text("\n".join(stems))
        for name in (split, f"{split}annot"):
            (root / name).symlink_to(CAMVID / name)
    return (*RUN, "dataset=camvid", f"dataset.root={root}")


def outcome(folder: Path) -> dict[str, object]:
    """What must be equal, of each run of the chain."""
    runs = {}
    for plan in folder.glob("runs/*/plan.json"):
        run = plan.parent
        last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        runs[run.name] = {
            "weights": last["state_dict"],
            "average": last["current_model_state"],
            "optimizer": last["optimizer_states"],
            "best": torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"],
            "metrics": (run / "metrics.csv").read_text(),
            "counts": sorted((path.name, path.read_text()) for path in run.glob("tests/*/confusion.csv")),
        }
    return runs


def writing_a_checkpoint(folder: Path) -> bool:
    return any(folder.glob("runs/*/checkpoints/*.tmp"))


def validating(folder: Path) -> bool:
    """A step to validate is recorded and its validation is not."""
    rows = [path.read_text().splitlines() for path in folder.glob("runs/*/metrics.csv")]
    last = [lines[-1].split(",") for lines in rows if len(lines) > 1]
    return any(row[0].isdigit() and int(row[0]) % 4 == 0 and row[3] and not row[5] for row in last)


def changing_stage(folder: Path) -> bool:
    """One run is done, and the next has not begun."""
    states = Counter(json.loads(path.read_text())["state"] for path in folder.glob("runs/*/status.json"))
    return states["done"] in (1, 2) and not states["running"]


def in_the_first_step(folder: Path) -> bool:
    """metrics.csv has its header and no row yet."""
    return any(len(path.read_text().splitlines()) == 1 for path in folder.glob("runs/*/metrics.csv"))


MOMENTS: tuple[Callable[[Path], bool] | None, ...] = (
    None, writing_a_checkpoint, None, validating, changing_stage, None, in_the_first_step,
    writing_a_checkpoint,
)  # fmt: skip


def kill_once(folder: Path, arguments: tuple[str, ...], moment, rng: random.Random) -> str | None:
    """Start the command and kill all its processes at a moment; how, or None where it came to its end."""
    process = subprocess.Popen(
        command("train", *arguments), cwd=folder, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    delay, started = rng.uniform(0.5, 14), time.monotonic()
    while process.poll() is None:
        waited = time.monotonic() - started
        if (moment is None and waited > delay) or (moment is not None and _is(moment, folder)) or waited > 25:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return moment.__name__ if moment is not None and waited <= 25 else "at random"
        time.sleep(0.001)
    assert process.returncode == 0
    return None


def _is(moment: Callable[[Path], bool], folder: Path) -> bool:
    try:
        return moment(folder)
    except (OSError, ValueError, IndexError):  # files come and go
        return False


def is_done(folder: Path) -> bool:
    states = [json.loads(path.read_text())["state"] for path in folder.glob("runs/*/status.json")]
    return len(states) == 3 and set(states) == {"done"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    segsweep("train", *prepare(folder), cwd=folder)
    return outcome(folder)


def stress(folder: Path, undisturbed: dict[str, object], workers: int, kills: int, seed: int) -> Counter[str]:
    """Kill so many times, over as many chains as that takes; what was killed in which moment."""
    rng, killed, number = random.Random(seed), Counter[str](), 0
    while killed.total() < kills:
        chain = folder / str(number)
        chain.mkdir()
        arguments = (*prepare(chain), f"num_workers={workers}")
        # A chain is killed a dozen times at most, so that several come to their end and are compared.
        for attempt in range(min(12, kills - killed.total())):
            how = kill_once(chain, arguments, MOMENTS[attempt % len(MOMENTS)], rng)
            if how is None:
                break
            killed[how] += 1
        segsweep("train", *arguments, cwd=chain)
        assert is_done(chain)
        again = outcome(chain)
        assert again.keys() == undisturbed.keys()
        for run, expected in undisturbed.items():
            assert [key for key in expected if not equal(expected[key], again[run][key])] == [], run
        number += 1
    return killed


@pytest.mark.slow
def test_a_chain_killed_a_few_times_has_the_bits_of_one_that_was_not(undisturbed, tmp_path):
    assert stress(tmp_path, undisturbed, workers=2, kills=4, seed=1).total() == 4


@pytest.mark.stress
@pytest.mark.parametrize("workers", [0, 2])
def test_a_chain_killed_thirty_times(undisturbed, tmp_path, workers, capsys):
    started = time.monotonic()
    killed = stress(tmp_path, undisturbed, workers, kills=30, seed=workers)
    with capsys.disabled():
        moments = ", ".join(f"{count} {how.replace('_', ' ')}" for how, count in sorted(killed.items()))
        print(f"\n{workers} workers: {killed.total()} kills ({moments}), {time.monotonic() - started:.0f} s")
