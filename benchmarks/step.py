"""A training step through `segsweep train`, against the same network, loader, loss and SGD in a bare loop.

    python -m benchmarks.step [--batch 8] [--size 128x128] [--workers 0] [--steps 60] [--rounds 2]
    python -m benchmarks.step --options trainer.compile=true     # options of segsweep train

MobileNetV2 with KSAC on generated files in CamVid's layout. The ways take turns, `--rounds` times. A step of
`segsweep train` is timed from outside, by when the rows of its metrics.csv appear (every 10 steps, the first
20 left out); the bare loop reads its losses as often. On a GPU the loop also runs as one CUDA graph of the
whole step. Wanted: `segsweep train` within 5 % of the bare loop; on a GPU 16×360×480 in at most 20 ms.
"""

import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tests.data.writers import write_camvid
from torch import Tensor

from benchmarks.report import ROOT, Row, keep, parser, report
from benchmarks.timing import Times, as_cuda_graph, synchronise
from segsweep.builders import build_data, build_task
from segsweep.config.schema import RunConfig
from segsweep.planning.compose import compose
from segsweep.training.algorithms import algorithms
from segsweep.training.optimizers import with_schedule

EVERY = 10  # steps between the rows of metrics.csv
LEFT_OUT = 2  # rows: kernels are chosen, memory is allocated, loaders fill up
PRODUCT, LAST, FIRST, GRAPH = (
    "segsweep train",
    "bare loop, channels last",
    "bare loop",
    "bare loop, CUDA graph",
)


def overrides(asked: Namespace, data: Path) -> list[str]:
    """The run, as typed on a command line."""
    return [
        "backbone=mobilenetv2", "head=ksac", "head.rates=[1,6,12,18,24]", "test=[]",
        "dataset=camvid", f"data_dir={data}", f"size=[{asked.size.replace('x', ',')}]",
        f"batch_size={asked.batch}", f"num_workers={asked.workers}",
        f"trainer.max_steps={asked.steps}", f"trainer.val_every={asked.steps}",
        f"checkpoint.every={asked.steps}", f"trainer.log_every={EVERY}",
        f"trainer.accelerator={'cpu' if asked.device == 'cpu' else 'gpu'}",
    ]  # fmt: skip


def through_segsweep(words: list[str], runs: Path) -> float:
    """Seconds of a step of a `segsweep train` in a new folder, seen from outside."""
    command = [sys.executable, "-m", "segsweep", "train", *words, f"runs_dir={runs}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        rows, seen = 0, []
        while process.poll() is None:
            time.sleep(0.002)
            found = sum(training_rows(file) for file in runs.glob("*/metrics.csv"))
            seen += [time.perf_counter()] * (found - rows if found > rows else 0)
            rows = found
    if process.returncode or len(seen) < LEFT_OUT + 2:
        raise SystemExit(f"segsweep train ended with {process.returncode} after {len(seen)} rows")
    return (seen[-1] - seen[LEFT_OUT - 1]) / (EVERY * (len(seen) - LEFT_OUT))


def training_rows(file: Path) -> int:
    """How many rows of training steps a run has written; the last, after validation, is none."""
    lines = file.read_text().splitlines()[1:]
    return sum(bool(line.split(",")[2]) for line in lines)


class BareLoop:
    """The run without Lightning, logs and checkpoints."""

    def __init__(self, config: RunConfig, device: str, layout: torch.memory_format) -> None:
        self.config, self.device, self.layout = config, device, layout
        self.task = build_task(config)
        self.network = self.task.segmenter.to(device=device, memory_format=layout).train()
        steps = {"max_steps": self.task.max_steps, "val_every": self.task.val_every}
        factories = self.task.make_optimizer, self.task.make_schedule
        self.optimizer, scheduled = with_schedule(*factories, self.network, **steps)
        self.schedule = scheduled["scheduler"]
        self.bf16 = "bf16" in config.trainer.precision

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The run's own batches, on the device."""
        data = build_data(self.config)
        trainer = {"accumulate_grad_batches": 1, "world_size": 1, "global_rank": 0, "global_step": 0}
        data.trainer = SimpleNamespace(max_steps=self.config.trainer.max_steps, **trainer)  # type: ignore
        for batch in data.train_dataloader():
            image, label = (batch[name].to(self.device, non_blocking=True) for name in ("image", "label"))
            yield image.contiguous(memory_format=self.layout), label

    def step(self, image: Tensor, label: Tensor) -> Tensor:
        """Everything but the schedule."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            logits, auxiliary = self.network.forward_train(image)
            loss = self.task.loss(logits, label, auxiliary, self.network.auxiliary_weights, None)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def seconds(self) -> float:
        """Seconds of a step."""
        with self.algorithms():
            return timed(self.batches(), self.step, self.device, self.schedule.step)

    def algorithms(self) -> AbstractContextManager[None]:
        """Choose algorithms as the run does."""
        return algorithms(self.config.trainer.deterministic, lambda _: None)

    def graph_seconds(self) -> float:
        """The same with the step as one CUDA graph, at a constant learning rate."""
        with self.algorithms():
            return self._graph_seconds()

    def _graph_seconds(self) -> float:
        batches, losses = self.batches(), []
        image, label = (tensor.clone(memory_format=torch.preserve_format) for tensor in next(batches))
        graph = as_cuda_graph(lambda: losses.append(self.step(image, label)))

        def replay(new_image: Tensor, new_label: Tensor) -> Tensor:
            image.copy_(new_image)
            label.copy_(new_label)
            graph()
            return losses[-1]

        return timed(batches, replay, self.device, lambda: None)


def timed(batches: Any, step: Callable[..., Tensor], device: str, after: Callable[[], object]) -> float:
    """Seconds of a step, the first ones left out; losses are read as often as the run reads them."""
    began, done = time.perf_counter(), 0
    for number, (image, label) in zip(count(1), batches, strict=False):
        loss = step(image, label)
        after()
        if number % EVERY == 0:
            float(loss)
            if number == LEFT_OUT * EVERY:
                began = time.perf_counter()
            done = number
            ended = time.perf_counter()
    synchronise(device)
    return (ended - began) / (done - LEFT_OUT * EVERY)


def main() -> None:
    options = parser(__doc__, "step")
    options.add_argument("--device", default="cpu")
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--size", default="128x128")
    options.add_argument("--workers", type=int, default=0)
    options.add_argument("--steps", type=int, default=60)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--product", action="store_true", help="only segsweep train")
    options.add_argument("--options", nargs="*", default=[], help="further options of segsweep train")
    options.add_argument("--quick", action="store_true", help="tiny, as a rehearsal")
    asked = options.parse_args()
    if asked.quick:
        asked.batch, asked.size, asked.steps, asked.rounds, asked.workers = 2, "32x32", 40, 1, 0
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_camvid(data / "camvid", train=64, size=(360, 480))
        measure(asked, data, Path(folder) / "runs")


def measure(asked: Namespace, data: Path, runs: Path) -> None:
    """Time each way in turn; what is there is kept after each."""
    words = overrides(asked, data)
    (member,) = compose("train", [*words, *asked.options])
    seconds: dict[str, list[float]] = {}
    loops: dict[str, Callable[[], float]] = {
        PRODUCT: lambda: through_segsweep([*words, *asked.options], runs / str(len(seconds[PRODUCT]))),
        LAST: lambda: BareLoop(member.config, asked.device, torch.channels_last).seconds(),
    }
    if asked.device == "cpu":
        loops[FIRST] = lambda: BareLoop(member.config, asked.device, torch.contiguous_format).seconds()
    else:
        loops[GRAPH] = lambda: BareLoop(member.config, asked.device, torch.channels_last).graph_seconds()
    if asked.product:
        loops = {PRODUCT: loops[PRODUCT]}
    seconds |= {name: [] for name in loops}
    for _ in range(asked.rounds):
        for name, loop in loops.items():
            seconds[name].append(loop())
            found = table(asked, seconds, member.config.trainer.precision)
            keep(asked, found)
    report(asked, found)


def table(asked: Namespace, seconds: Mapping[str, Sequence[float]], precision: str) -> dict[str, list[Row]]:
    """The ways that were measured, by the rounds that they have in common."""
    rounds = min(len(found) for found in seconds.values() if found)
    times = Times({name: found[:rounds] for name, found in seconds.items() if found})
    best = min((name for name in times.seconds if name != PRODUCT), key=times.median, default=None)
    title = f"MobileNetV2, KSAC with 5 rates, {asked.batch}×{asked.size}, {asked.device}"
    rows = [
        {
            "way": " ".join([name, *asked.options]) if name == PRODUCT else name,
            "precision": precision,
            "ms a step": 1000 * times.median(name),
            "images a second": asked.batch / times.median(name),
            "times the best bare loop": best and times.ratio(name, best),
            "wanted": "≤ 1.05" if name == PRODUCT else "",
        }
        for name in times.seconds
    ]
    return {f"{title}, {asked.workers} loader processes": rows}


if __name__ == "__main__":
    main()
