"""Whether a GPU trains to the same bits: twice the same run, and once more killed in the middle and resumed.

    python -m benchmarks.gpu_exact [--device cpu] [--quick]

Each case is three runs of the real command on generated images. Compared are weights, optimizer and metrics.
"""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.report import Row, keep, parser, report

HEADS = {
    "ksac": ("head=ksac", "head.decoder=true"),
    "aspp": ("head=aspp", "head.decoder=true", "loss=ohem"),
    "atonet": ("head=atonet", "head.aux=[2,5]"),
    "dual_aspp": ("head=dual_aspp",),
    "none": ("head=none", "loss=[dice,focal]"),
}
PRECISIONS = ("32-true", "bf16-mixed")
REHEARSED = {("ksac", "32-true"), ("atonet", "bf16-mixed")}
AT_ONCE = 5  # of three processes, which wait for their start most of the time
LIMIT_S = 90


class Case:
    """A head and a precision, trained in folders of its own."""

    def __init__(self, asked: Namespace, head: str, precision: str, place: Path) -> None:
        self.head, self.precision, self.place = head, precision, place
        self.on_cpu = asked.device == "cpu"
        self.steps = 12 if asked.quick else 30
        size, encoder = (48, "mobilenetv3_small") if asked.quick else (257, "mobilenetv2")
        on = "cpu" if self.on_cpu else "gpu"
        self.words = (
            *HEADS[head], f"backbone={encoder}", "backbone.pretrained=false", f"size={size}", "batch_size=4",
            "dataset.train_images=24", "dataset.val_images=2", "dataset.test_images=1", "num_workers=1",
            f"trainer.max_steps={self.steps}", f"trainer.val_every={self.steps // 2}", "trainer.log_every=1",
            f"trainer.precision={precision}", f"trainer.accelerator={on}", "checkpoint.every=4", "test=[]",
        )  # fmt: skip

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a run, or resume it."""
        words = [*self.words, f"runs_dir={self.place / name}"]
        log = (self.place / f"{name}.log").open("ab")
        with log:  # with one thread, as sums on a CPU depend on their number
            return subprocess.Popen(
                [sys.executable, "-m", "segsweep", "train", *words],
                cwd=self.place,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def train(self, name: str) -> None:
        """Train a run to its end, from where it stands."""
        process = self.start(name)
        try:
            ended = process.wait(LIMIT_S)
        finally:
            process.kill()
        assert ended == 0, f"{name} ended with {ended}: {(self.place / f'{name}.log').read_text()[-300:]}"

    def kill(self, name: str) -> int:
        """Start a run and kill it in its middle; return the step that it had logged."""
        process, deadline = self.start(name), time.monotonic() + LIMIT_S
        try:
            while (step := self.logged(name)) < self.steps // 2:
                assert process.poll() is None, f"{name} was over before its middle"
                assert time.monotonic() < deadline, f"{name} did not reach its middle"
                time.sleep(0.002)
        finally:
            process.kill()
            process.wait()
        assert not self.outcome(name), f"{name} was over before it was killed"
        return step

    def kill_and_resume(self, name: str) -> int:
        """Return the step at which the run was killed."""
        step = self.kill(name)
        self.train(name)
        return step

    def logged(self, name: str) -> int:
        """Return the last step in metrics.csv; 0 if there is none."""
        rows = [row for file in self.files(name, "metrics.csv") for row in file.read_text().split("\n")[1:-1]]
        return int(rows[-1].split(",")[0]) if rows else 0

    def files(self, name: str, file: str) -> list[Path]:
        """Return a file of the run, if it is there."""
        return list((self.place / name).glob(f"*/{file}"))

    def outcome(self, name: str) -> Mapping[str, Any]:
        """Return weights, optimizer and metrics of a run that is done; else nothing."""
        if self.logged(name) < self.steps:
            return {}
        (last,), (metrics,) = self.files(name, "checkpoints/last.ckpt"), self.files(name, "metrics.csv")
        saved = torch.load(last, map_location="cpu", weights_only=True)
        parts = {"weights": saved["state_dict"], "optimizer": saved["optimizer_states"]}
        return {**parts, "metrics": metrics.read_text()}

    def check(self) -> Row:
        """Train, repeat, kill and resume, on a GPU side by side."""
        with ThreadPoolExecutor(1 if self.on_cpu else 3) as some:
            trained = [some.submit(self.train, name) for name in ("once", "again")]
            killed = some.submit(self.kill_and_resume, "killed")
            step = killed.result()
            for one in trained:
                one.result()
        first, *others = (self.outcome(name) for name in ("once", "again", "killed"))
        (status,) = self.files("once", "status.json")
        return {
            "repeated": difference(first, others[0]),
            "killed and resumed": difference(first, others[1]),
            "killed at": step,
            "not deterministic": ", ".join(json.loads(status.read_text()).get("nondeterministic", ())),
        }


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """Return "equal", or what is not."""
    return ", ".join(part for part in a if not equal(a[part], b[part])) or "equal"


def equal(a: Any, b: Any) -> bool:
    """Whether two parts of a checkpoint have the same bits."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def checked(asked: Namespace, head: str, precision: str) -> Row:
    """Check one case; a failure is a row too."""
    case = {"head": head, "precision": precision}
    with TemporaryDirectory() as place:
        try:
            return {**case, **Case(asked, head, precision, Path(place)).check()}
        except Exception as error:  # one that breaks costs no other
            failed = " ".join(repr(error).split())[-120:]
            return {
                **case,
                "repeated": failed,
                "killed and resumed": "",
                "killed at": "",
                "not deterministic": "",
            }


def main() -> None:
    options = parser(__doc__, "gpu_exact")
    options.add_argument("--device", default="cuda")
    options.add_argument("--quick", action="store_true", help="tiny, as a rehearsal")
    asked = options.parse_args()
    cases = [(head, precision) for head in HEADS for precision in PRECISIONS]
    cases = [case for case in cases if not asked.quick or case in REHEARSED]
    title, rows = f"bits of repeated and resumed training, {asked.device}", []
    with ThreadPoolExecutor(1 if asked.device == "cpu" else AT_ONCE) as some:
        for done in as_completed(some.submit(checked, asked, *case) for case in cases):
            rows.append(done.result())
            keep(asked, {title: rows})
    report(asked, {title: rows})
    sys.exit(any((row["repeated"], row["killed and resumed"]) != ("equal", "equal") for row in rows))


if __name__ == "__main__":
    main()
