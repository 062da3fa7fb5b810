"""What a pool costs beyond its members' own time.

    python -m benchmarks.pool [--members 8] [--at-a-time 2] [--steps 300]

A sweep on generated images, on the CPU, with as many steps as make a member take about a minute. When each
member's process began is the kernel's word, and when it was gone is seen in /proc. Printed are the wall-clock
time of the whole command, planning and closing tables included, and what it would be if members had no gap
between them (the sum of their processes' times, over how many run at a time): the ratio is the pool's
overhead, wanted at most 1.05. Beside it the share of training and testing in the members' own time: the rest
is the start of a fresh process, imports above all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.report import Row, parser, report

OPTIONS = (
    "backbone=mobilenetv3_small", "head=aspp", "head.rates=[1,2]", "head.width=16", "size=64", "batch_size=8",
    "dataset.train_images=64", "dataset.val_images=8", "dataset.test_images=8", "trainer.accelerator=cpu",
    "hydra/launcher=pool",
)  # fmt: skip
EVERY = 0.02
TICKS = os.sysconf("SC_CLK_TCK")


class Watch(threading.Thread):
    """Notes when each process of a run began, as the kernel says, and when it was gone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.over = folder, threading.Event()
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def run(self) -> None:
        while not self.over.wait(EVERY):
            alive = self.alive()
            self.began = alive | self.began
            for pid in self.began.keys() - alive.keys() - self.ended.keys():
                self.ended[pid] = now()

    def alive(self) -> dict[int, float]:
        """Start times of the processes that execute runs in the folder, in seconds since the machine's."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self.folder and b"execute" in arguments(process):
                    state, *fields = (process / "stat").read_text().rpartition(")")[2].split()
                    leads_session = fields[2] == process.name  # what it forks bears its name for a moment
                    if state != "Z" and leads_session:
                        found[int(process.name)] = int(fields[18]) / TICKS
            except OSError:
                continue
        return found


def arguments(process: Path) -> list[bytes]:
    return (process / "cmdline").read_bytes().split(b"\0")


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def work(run: Path) -> float:
    """Seconds of training, and from its end to the last test's."""
    status = json.loads((run / "status.json").read_text())
    tested = max(path.stat().st_mtime for path in run.glob("tests/*/metrics.json"))
    trained = (run / "checkpoints" / "last.ckpt").stat().st_mtime
    return float(status["train_seconds"] + tested - trained)


def main() -> None:
    options = parser(__doc__, "pool")
    options.add_argument("--members", type=int, default=8)
    options.add_argument("--at-a-time", type=int, default=2)
    options.add_argument("--steps", type=int, default=300)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Path(folder).resolve())
        watch.start()
        began = now()
        seeds = ",".join(map(str, range(asked.members)))
        subprocess.run(
            [
                sys.executable, "-m", "segsweep", "train", "-m", *OPTIONS, f"seed={seeds}",
                f"trainer.max_steps={asked.steps}", f"hydra.launcher.runs_per_gpu={asked.at_a_time}",
            ],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        wall = now() - began
        watch.over.set()
        watch.join()
        works = [work(plan.parent) for plan in Path(folder).glob("runs/*/plan.json")]
    report(asked, {f"{asked.members} members, {asked.at_a_time} at a time": [row(asked, wall, watch, works)]})


def row(asked: argparse.Namespace, wall: float, watch: Watch, works: list[float]) -> Row:
    took = [watch.ended[pid] - began for pid, began in watch.began.items()]
    without = sum(took) / asked.at_a_time
    span = max(watch.ended.values()) - min(watch.began.values())
    return {
        "steps": asked.steps,
        "a member (s)": sum(took) / len(took),
        "training and testing in it (%)": 100 * sum(works) / sum(took),
        "whole command (s)": wall,
        "over its members": wall / without,
        "first start to last end, over members": span / without,
        "wanted": "≤ 1.05",
    }


if __name__ == "__main__":
    main()
