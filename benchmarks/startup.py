"""What passes between a command and the first training step, by parts.

    python -m benchmarks.startup [--rounds 3] [--options head=aspp]

`segsweep train` on generated images in a process of its own, its parts timed from inside: importing torch,
everything else that the command imports, composing the configuration, checking and writing the run, what
remains until training starts (building, the environment's record), and the first step. Wanted: at most 6 s
beyond torch's own import. Seconds of the processor are those of all threads.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, Row, parser, report
from benchmarks.timing import Spread

WORDS = (
    "backbone=mobilenetv2", "head=ksac", "size=128", "batch_size=8", "test=[]", "trainer.max_steps=1",
    "dataset.train_images=8", "dataset.val_images=1", "trainer.accelerator=cpu",
)  # fmt: skip
PARTS = (
    "import torch", "other imports", "compose", "check and write", "until training starts", "first step",
)  # fmt: skip


class Clock:
    """Seconds of each part, by the clock and of the processor, one part beginning where the last ended."""

    def __init__(self) -> None:
        # The process itself began before Python could look at a clock.
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        self.now = (ticks / os.sysconf("SC_CLK_TCK"), 0.0)
        self.parts: dict[str, tuple[float, float]] = {}

    def ends(self, part: str) -> None:
        """What is done since the last part belongs to this one."""
        now = (time.clock_gettime(time.CLOCK_BOOTTIME), time.process_time())
        wall, cpu = self.parts.get(part, (0.0, 0.0))
        self.parts[part] = (wall + now[0] - self.now[0], cpu + now[1] - self.now[1])
        self.now = now

    def after(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, at whose end a part ends."""

        def timed(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            self.ends(part)
            return result

        return timed


class FirstStepError(BaseException):
    """The first step is done, and with it the measurement."""


def inside(words: list[str]) -> dict[str, tuple[float, float]]:
    """Train until the first step in this process, which must be fresh."""
    clock = Clock()
    import torch  # noqa: F401

    clock.ends("import torch")
    from segsweep.imports import import_lightly

    import_lightly()
    import segsweep.execution.execute
    import segsweep.planning.dry_build  # noqa: F401
    from segsweep.commands import train
    from segsweep.training.recorder import Recorder

    clock.ends("other imports")

    def first_step(*_: Any) -> None:
        clock.ends("first step")
        raise FirstStepError

    train.Request.compose = clock.after("compose", train.Request.compose)
    train.check_and_write = clock.after("check and write", train.check_and_write)
    Recorder.on_train_start = clock.after("until training starts", Recorder.on_train_start)
    Recorder.on_train_batch_end = first_step
    try:
        train.run("train", words)
    except FirstStepError:
        return clock.parts
    raise AssertionError("the command ended without a step")


def alone(words: list[str]) -> dict[str, tuple[float, float]]:
    """`inside` in a process and a folder of its own."""
    command = [sys.executable, "-m", "benchmarks.startup", "--alone", *words]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEGSWEEP_RUNS": folder}
        result = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    options = parser(__doc__, "startup")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--options", nargs="*", default=[], help="options of segsweep train")
    options.add_argument("--alone", nargs="*", help="measure these in this process")
    asked = options.parse_args()
    if asked.alone is not None:
        print(json.dumps(inside(asked.alone)))
        return
    rounds = [alone([*WORDS, *asked.options]) for _ in range(asked.rounds)]
    beyond = [{**parts, "import torch": (0.0, 0.0)} for parts in rounds]
    rows = [row(part, [[parts[part]] for parts in rounds]) for part in PARTS]
    rows.append(row("all but torch's import", [[*parts.values()] for parts in beyond], "≤ 6"))
    report(asked, {"from the command to the end of the first step": rows})


def row(part: str, rounds: list[list[tuple[float, float]]], wanted: str = "") -> Row:
    """A part's seconds, as the median of the rounds' sums."""
    wall, cpu = (Spread.of([sum(one[i] for one in some) for some in rounds]) for i in (0, 1))
    return {"part": part, "by the clock (s)": wall, "of the processor (s)": cpu, "wanted (s)": wanted}


if __name__ == "__main__":
    main()
