"""Runs planned and executed within the test's process, where a process of their own is not the point."""

import csv
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.execution.execute import execute
from segsweep.planning.compose import Request, compose
from segsweep.planning.plan import Member, check_member, merge, write
from segsweep.runs.folder import RunFolder
from segsweep.sweeps import worker as orders
from segsweep.sweeps.launch import launch
from segsweep.sweeps.launchers import local
from segsweep.sweeps.sweep import Call, Sweep
from segsweep.sweeps.worker import Attempt, oom_kills
from tests.support.composing import member
from tests.support.faulty import LOSS

ROOT = Path(__file__).parents[2]

# An epoch of six steps of four pictures, none of them changed on its way into a batch.
BASE = (
    "backbone=mobilenetv3_small", "head=none", "size=48", "batch_size=4", "augment=none",
    "dataset.train_images=24", "dataset.val_images=1", "dataset.test_images=1",
    "trainer.max_steps=6", "trainer.val_every=3", "trainer.accelerator=cpu", "trainer.log_every=1",
    "checkpoint.every=1", "test=[]",
)  # fmt: skip


# The same without a length: what the command line says would hold in every stage of a chain.
OPEN = tuple(o for o in BASE if o.partition("=")[0] not in ("trainer.max_steps", "trainer.val_every"))


def planned(*overrides: str) -> RunFolder:
    """A run, checked and written as `segsweep train` does."""
    run = member(*BASE, *overrides)
    check_member(run)
    return write(run)


def chains(*overrides: str) -> list[Member]:
    """The last runs of the chains that `segsweep train -m` would plan."""
    return compose("train", ["-m", *overrides])


def launched(*overrides: str) -> Sweep:
    """The sweep that `segsweep train -m` would plan and execute."""
    call = Call(Request("train", ["-m", *overrides]))
    launch(call)
    assert call.sweep is not None
    return call.sweep


def run(folder: RunFolder, config: str = "") -> None:
    """Execute it, with all that is logged in its log.txt as in a process of its own."""
    log = logging.getLogger("segsweep")
    before = log.level
    log.setLevel(logging.DEBUG)
    try:
        execute(folder, asked=RunConfig.of(json.loads(config)) if config else None)
    finally:
        log.setLevel(before)


def train_all(members: Sequence[Member]) -> list[RunFolder]:
    """Do what the launcher does with a sweep; the runs that were not done before."""
    folders = [write(one) for one in merge(members)]
    new = [folder for folder in folders if folder.status().state != "done"]
    for folder in new:
        run(folder)
    return new


class AttemptInside(Attempt):
    """What launchers start for each run, within this process: done as soon as it is made."""

    def __init__(
        self, folder: RunFolder, train: bool, prefix: Sequence[str] = (), config: str = "", **_: str
    ) -> None:
        self.folder, self.asked, self._told, self._oom_kills = folder, False, None, oom_kills()
        self.config, self.failure_file = config, folder.path / "failure.tmp"
        returncode = 0
        try:
            run(folder, config)
        except Exception:
            returncode = 1
        over: Any = SimpleNamespace(poll=lambda: returncode, wait=lambda: returncode, returncode=returncode)
        self.process = over

    def kill(self) -> None:
        """There is none."""


def attempts_inside(patch: pytest.MonkeyPatch) -> None:
    """Have our launchers, and the workers of others that are this process, start no processes."""
    for module in (local, orders):
        patch.setattr(module, "Attempt", AttemptInside)


def checkpoint(folder: RunFolder, name: str = "last.ckpt") -> dict[str, Any]:
    return dict(torch.load(folder.checkpoints / name, weights_only=True))


def weights(folder: RunFolder, name: str = "last.ckpt") -> dict[str, Tensor]:
    """The network's tensors in a checkpoint, by their names in the network."""
    state = checkpoint(folder, name)["state_dict"]
    return {key[len("segmenter.") :]: value for key, value in state.items() if key.startswith("segmenter.")}


def fresh_weights(folder: RunFolder) -> dict[str, Tensor]:
    """What the run's network is built with."""
    config = folder.config()
    return dict(builders.build_task(config).segmenter.state_dict())


def different(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """Names of the tensors that are not equal to the last bit."""
    assert a.keys() == b.keys()
    return [key for key in a if not torch.equal(a[key], b[key])]


def rows(folder: RunFolder) -> list[dict[str, str]]:
    """metrics.csv."""
    with (folder.path / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def step_of(picture: int) -> int:
    """The step, from 1, in which a training picture is seen: the order is the data set's own."""
    order = list(builders.build_data(member(*BASE).config).order(range(24)).order(0))  # type: ignore[arg-type]
    return order.index(picture) // 4 + 1


def faulty(folder: Path, *faults: tuple[int, str | int, str | None]) -> tuple[str, str]:
    """Overrides for faults on training pictures: (picture, kind, name of the trigger's file), see `Fault`."""
    split = builders.build_dataset(member(*BASE).config).split("train")
    spelled = []
    for picture, kind, trigger in faults:
        label = folder / f"{picture}.json"
        label.write_text(json.dumps(split[picture].label.tolist()))
        named = "" if trigger is None else f",trigger:{folder / trigger}"
        spelled.append(f"{{label:{label},kind:{kind}{named}}}")
    return f"loss._target_={LOSS}", f"+loss.faults=[{','.join(spelled)}]"


@contextmanager
def batches() -> Iterator[list[tuple[int, list[str]]]]:
    """The step, from 0, and the samples of every micro-batch that is trained meanwhile."""
    from segsweep.training.task import SegmentationTask

    seen: list[tuple[int, list[str]]] = []
    original = SegmentationTask.training_step

    def noted(self: SegmentationTask, batch: dict[str, Any], batch_idx: int) -> Tensor | None:
        seen.append((self.global_step, batch["id"]))
        return original(self, batch, batch_idx)

    SegmentationTask.training_step = noted  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        SegmentationTask.training_step = original  # type: ignore[method-assign]
