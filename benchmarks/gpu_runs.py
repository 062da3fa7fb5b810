"""Commands on a GPU that must end well: out of memory, torchrun, a pool, a test of all strategies.

    python -m benchmarks.gpu_runs [--quick]

Each is a real command in a process of its own, on generated images.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.report import Row, keep, parser, report

SEGSWEEP = [sys.executable, "-m", "segsweep"]
TORCHRUN = [*SEGSWEEP[:2], "torch.distributed.run", "--standalone", "--nproc-per-node=1", *SEGSWEEP[1:]]
LIMIT = 3 * 2**30  # bytes that the run which is to shrink may take


class Runs:
    """A folder for runs, and what all of them have in common."""

    def __init__(self, asked: Namespace, folder: Path) -> None:
        self.folder, self.device = folder, asked.device
        steps, side = (2, 32) if asked.quick else (20, 256)
        self.batch = 2 if asked.quick else 64
        self.words = [
            "backbone=mobilenetv2", f"size={side}", "dataset.train_images=64", "dataset.val_images=2",
            "dataset.test_images=2", f"trainer.max_steps={steps}", f"runs_dir={folder}", "num_workers=2",
            f"trainer.accelerator={'cpu' if asked.device == 'cpu' else 'gpu'}",
        ]  # fmt: skip

    def run(self, program: list[str], *words: str, **variables: str) -> None:
        """Run a command; its output is shown, and a failure raises."""
        command = [*program, "train", *self.words, *words]
        subprocess.run(command, check=True, cwd=self.folder, env={**os.environ, **variables})

    def statuses(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in self.folder.glob("*/status.json")]

    def all_done(self, count: int) -> str:
        states = [status["state"] for status in self.statuses()]
        assert states == ["done"] * count, states
        return f"{count} done"


def shrinks(runs: Runs) -> str:
    """A run that does not fit goes on with smaller micro-batches."""
    if runs.device == "cpu":
        return "left out: only a GPU says that it has no memory"
    import torch

    fraction = LIMIT / torch.cuda.get_device_properties(0).total_memory
    allowed = f"per_process_memory_fraction:{fraction:.5f}"
    large = f"batch_size={runs.batch}"
    runs.run(SEGSWEEP, large, "trainer.on_oom=shrink", "test=[]", PYTORCH_ALLOC_CONF=allowed)
    runs.all_done(1)
    (status,) = runs.statuses()
    assert status["shrunk_to"] > 1, "it fitted"
    return f"done in {status['shrunk_to']} micro-batches a step"


def torchrun(runs: Runs) -> str:
    runs.run(TORCHRUN, "batch_size=8", "test=[]")
    return runs.all_done(1)


def pool(runs: Runs) -> str:
    gpus = ["hydra.launcher.gpus=none"] if runs.device == "cpu" else []
    few = ["hydra.launcher.runs_per_gpu=2", "seed=0,1", "batch_size=8", "test=[]"]
    runs.run(SEGSWEEP, "-m", "hydra/launcher=pool", *few, *gpus)
    return runs.all_done(2)


def strategies(runs: Runs) -> str:
    runs.run(SEGSWEEP, "batch_size=8", "test=[single,flip,ms,ms_flip,slide]")
    tests = sorted(file.parent.name for file in runs.folder.glob("*/tests/*/metrics.json"))
    assert len(tests) == 5, tests
    return runs.all_done(1) + f", tested: {', '.join(tests)}"


CHECKS: dict[str, Callable[[Runs], str]] = {
    "on_oom=shrink": shrinks,
    "torchrun, one rank": torchrun,
    "a pool of two runs": pool,
    "all test strategies": strategies,
}


def checked(name: str, asked: Namespace) -> Row:
    """How a check ended, in words."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return {"check": name, "holds": "yes", "found": CHECKS[name](Runs(asked, Path(folder)))}
        except Exception as error:  # one that breaks costs no other
            return {"check": name, "holds": "no", "found": repr(error)[:120]}


def main() -> None:
    options = parser(__doc__, "gpu_runs")
    options.add_argument("--device", default="cuda")
    options.add_argument("--quick", action="store_true", help="tiny, as a rehearsal")
    asked = options.parse_args()
    title, rows = f"commands, {asked.device}", []
    with ThreadPoolExecutor(1 if asked.device == "cpu" else len(CHECKS)) as some:
        for done in as_completed(some.submit(checked, name, asked) for name in CHECKS):
            rows.append(done.result())
            keep(asked, {title: rows})
    report(asked, {title: rows})
    sys.exit(any(row["holds"] == "no" for row in rows))


if __name__ == "__main__":
    main()
