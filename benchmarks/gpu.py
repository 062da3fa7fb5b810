"""Everything about GPUs that is worth measuring, in one command of at most eight minutes.

    python -m benchmarks.gpu OUT [--parts op step …] [--minutes 8]
    python -m benchmarks.gpu OUT --device cpu --quick      # a rehearsal with tiny shapes

Each part is a program of its own with a limit of time: one that fails or hangs costs no other, and keeps what
it had measured. Timings come first, the most wanted before the others, and have the machine to themselves;
checks of behaviour then run side by side. OUT receives NAME.json and NAME.log of each part, and summary.json.
Tables are printed, and last how each part ended. A part that found no time left: `--parts` in another call.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.performance import tables
from benchmarks.report import ROOT, Row, markdown
from segsweep.cores import usable_cores

FOR_CHECKS = 140  # seconds that timings leave for the checks


@dataclass(frozen=True)
class Part:
    """A program: a module of benchmarks, with arguments in earnest and in a rehearsal."""

    module: str
    seconds: int
    arguments: str = ""
    rehearsal: str = ""
    times: bool = True
    name: str = ""

    @property
    def title(self) -> str:
        """The name of its files."""
        return self.name or self.module

    def command(self, out: Path, device: str, quick: bool) -> list[str]:
        """The command line."""
        arguments = (self.rehearsal if quick else self.arguments).split()
        common = ["--device", device, "--json", str(out / f"{self.title}.json")]
        return [sys.executable, "-m", f"benchmarks.{self.module}", *arguments, *common]


NETWORKS = "--batch 16 --precision bf16 --channels-last --seconds 1 --heads KSAC ASPP --encoders"
BOTH = f"{NETWORKS} mobilenetv2 resnet50"
SMALL = "--encoders mobilenetv2 --heads KSAC --size 64x64 --seconds 0.01"
STEP = "--batch 16 --size 360x480 --workers 10 --steps 200 --rounds 1"
COMPILED, FREE = "--product --options trainer.compile=true", "--product --options trainer.deterministic=false"
PARTS = (
    Part("gpu_op", 85, rehearsal="--quick"),
    Part("step", 90, STEP, "--quick"),
    Part("networks", 80, BOTH, SMALL),
    Part("networks", 80, f"{BOTH} --graph", SMALL, name="networks-graph"),
    Part("step", 120, f"{STEP} {COMPILED}", f"--quick {COMPILED}", name="step-compiled"),
    Part("evaluator", 40, "--seconds 2", "--seconds 0.01 --images 1 --passes 1"),
    Part("step", 50, f"{STEP} {FREE}", f"--quick {FREE}", name="step-free"),
    Part("speeds", 50, "--seconds 0.5 --channels-last", "--seconds 0.01 --scale 0.1"),
    Part("gpu_exact", FOR_CHECKS, rehearsal="--quick", times=False),
    Part("gpu_runs", FOR_CHECKS, rehearsal="--quick", times=False),
    Part("gpu_tests", FOR_CHECKS, rehearsal="--quick", times=False),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("out", type=Path, help="folder for the results")
    options.add_argument("--parts", nargs="*", choices=[part.title for part in PARTS])
    options.add_argument("--minutes", type=float, default=8, help="after which nothing more is done")
    options.add_argument("--device", default="cuda")
    options.add_argument("--quick", action="store_true", help="tiny shapes, to rehearse")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    out, end = asked.out.resolve(), time.monotonic() + 60 * asked.minutes
    parts = [part for part in PARTS if not asked.parts or part.title in asked.parts]
    checks = [part for part in parts if not part.times]
    leave = FOR_CHECKS if checks else 0
    rows: list[Row] = []

    def do(part: Part) -> None:
        rows.append(run(part, out, asked.device, asked.quick, end - (leave if part.times else 0)))
        (out / "summary.json").write_text(json.dumps(rows, indent=1) + "\n")

    for part in parts:
        if part.times:
            do(part)
    # On a machine of few cores one after the other, as starting them is most of their time.
    with ThreadPoolExecutor(max(1, min(len(checks), usable_cores() // 4))) as pool:
        list(pool.map(do, checks))
    for module in dict.fromkeys(part.module for part in parts):
        print(f"\n## {module}\n", *tables(out, module), sep="\n")
    print("", *markdown(rows), sep="\n")
    sys.exit(any(row["ended"] != "done" for row in rows))


def run(part: Part, out: Path, device: str, quick: bool, end: float) -> Row:
    """Run a part within its limit and say how it ended."""
    began = time.monotonic()
    # A rehearsal is on a machine of few cores, where programs take long to start.
    limit = min(part.seconds * (3 if quick else 1), end - began)
    row: Row = {"part": part.title, "ended": "no time left", "seconds": 0.0, "last words": ""}
    if limit <= 0:
        return row
    log = out / f"{part.title}.log"
    with log.open("w") as file:
        status = finish(part.command(out, device, quick), file.fileno(), limit)
    row["ended"] = {0: "done", None: f"stopped after {limit:.0f} s"}.get(status, f"failed ({status})")
    if status != 0:
        row["last words"] = last_line(log)
    print(f"{part.title}: {row['ended']}", file=sys.stderr, flush=True)
    return {**row, "seconds": time.monotonic() - began}


def finish(command: Sequence[str], output: int, limit: float) -> int | None:
    """Return a program's exit status; None if it was stopped at the limit, with all its children."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    started = {"cwd": ROOT, "env": environment, "stdout": output, "stderr": output}
    with subprocess.Popen(command, start_new_session=True, **started) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:120].replace("|", "/") if lines else ""


if __name__ == "__main__":
    main()
