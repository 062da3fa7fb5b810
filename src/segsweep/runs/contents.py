"""What each small file of a run folder holds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any

from segsweep.rules import is_number
from segsweep.runs.records import CHECKS, Record, named

Finite = Annotated[float, is_number]
Options = dict[str, Any]


class State(StrEnum):
    """Where a run stands."""

    PLANNED = "planned"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"
    WAITING = "waiting"
    """Planned, and its parent is being trained: told by another run's folder, never by its own."""


def is_written(state: State) -> bool:
    """Whether a status.json may hold a state."""
    return state is not State.WAITING


@dataclass(frozen=True, kw_only=True)
class RecordedFailure(Record):
    """How a run ended that was not finished."""

    kind: str = named("class")
    """One of the classes in failures.py."""
    log: tuple[str, ...] = ()
    """The last lines of the log."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProgress(Record):
    """How far a test has come, while one is at work."""

    done: int
    images: int
    seconds_left: Finite


@dataclass(frozen=True, kw_only=True)
class Status(Record):
    """status.json: where a run stands, and what became of it."""

    state: Annotated[State, is_written]
    step: int
    """Optimizer steps done."""
    max_steps: int | None = None
    updated: Finite | None = None
    """When it was last written, in seconds since 1970."""
    loss: float | None = None
    val_miou: float | None = None
    """Of the last validation, as a fraction."""
    best_miou: float | None = None
    train_seconds: Finite | None = None
    """Over all starts."""
    seconds_left: float | None = None
    params: int | None = None
    """Parameters at inference."""
    origin: str | None = None
    """Where its weights came from at its first step, in words."""
    shrunk_to: int | None = None
    """Micro-batches a step since memory ran out."""
    dropped_batches: int | None = None
    """Batches left out because their loss was NaN."""
    environment_changes: tuple[str, ...] = ()
    """What changed between its starts, such as `torch 2.6.0 → 2.7.0`."""
    untold: bool = False
    """Whether its logger has yet to be told how it ended."""
    testing: EvaluationProgress | None = None
    error: str | None = None
    failure: RecordedFailure | None = None

    @property
    def remaining(self) -> float | None:
        """Seconds of training left now: what it last wrote, less the time since; None unless it runs."""
        if self.state is not State.RUNNING or self.seconds_left is None or not isfinite(self.seconds_left):
            return None
        now = time.time()
        return max(0.0, self.seconds_left - (now - (now if self.updated is None else self.updated)))

    @property
    def seconds_until_idle(self) -> float | None:
        """Seconds until a run at work has trained, or is evaluated."""
        return self.testing.seconds_left if self.testing and self.state is State.DONE else self.remaining

    def progress(self, max_steps: int | None) -> tuple[int, int | None]:
        """Return the steps done and those in all; images while it is evaluated, if it says how many."""
        if self.testing and self.state is State.DONE:
            return self.testing.done, self.testing.images
        return self.step, max_steps

    @property
    def failure_class(self) -> str | None:
        """The class of what ended it; None if nothing did."""
        return self.failure.kind if self.failure else None


OF_IDENTITY = {
    "trainer.max_steps": CHECKS[int],
    **dict.fromkeys(("init", "adopted", "backbone.weights"), CHECKS[str]),
}
"""The options of an identity that are read by their names, each with its check."""


def is_identity_of_a_run(identity: Mapping[str, Any]) -> bool:
    """Whether the options that are read by their names have values of their kind."""
    return all(check(identity[key]) for key, check in OF_IDENTITY.items() if key in identity)


@dataclass(frozen=True, kw_only=True)
class Plan(Record):
    """plan.json: what a run is, and how it was first asked for."""

    id: str
    identity_version: int | None = None
    """The version of the rules by which the id was made; None for the present one."""
    identity: Annotated[Options, is_identity_of_a_run]
    """The options that make the run what it is, by their dotted keys; see identity.py."""
    choices: dict[str, str]
    """The choice of each group, such as `head: ksac`."""
    overrides: tuple[str, ...]
    stage: str | None = None
    """Its name in a chain of stages."""
    parent: str | None = None
    """The id of the stage before it."""
    lineage: dict[str, Options] = field(default_factory=dict)
    """The identities of all stages before it, by stage."""
    adopted: Options | None = None
    """Where weights that were trained elsewhere came from."""

    @property
    def max_steps(self) -> int | None:
        """Optimizer steps that make the run; None for one whose weights were trained elsewhere."""
        return None if self.adopted is not None else self.identity.get("trainer.max_steps")


@dataclass(frozen=True, kw_only=True)
class Environment(Record):
    """environment.json: what a run was trained on."""

    python: str | None = None
    packages: dict[str, Any] = field(default_factory=dict)
    """Versions by package; None if one is not installed."""
    git_commit: str | None = None
    platform: str | None = None
    host: str | None = None
    cpus: int | None = None
    threads: int | None = None
    ranks: int = 1
    loss_over: str = named("loss averaged over", default="micro-batch")
    """What a loss is a mean over, if a step has several micro-batches; older versions averaged each alone."""
    gpus: tuple[str, ...] = ()
    cuda: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metrics(Record):
    """metrics.json of a test: its figures as fractions, None if there was no such pixel."""

    miou: Finite | None
    pixel_accuracy: Finite | None
    fwiou: Finite | None
    boundary_iou: Finite | None
    images: int
    per_class: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StrategyCard(Record):
    """The test strategy of a card."""

    name: str


@dataclass(frozen=True, kw_only=True)
class CheckpointCard(Record):
    """The checkpoint of a card."""

    which: str
    """`last` or `best`."""
    step: int | None = None
    sha256: str
    """The first digits of the file's hash."""


@dataclass(frozen=True, kw_only=True)
class Card(Record):
    """protocol.json of a test: everything that its figures depend on."""

    dataset: str
    split: str
    """Its list of images."""
    split_hash: str
    images: int
    image_sizes: str | tuple[str, ...]
    """`WxH` of the images as the network was given them, or the range of many."""
    label_sizes: str | tuple[str, ...] = ()
    """The same of the label maps that were counted; none if there is no truth."""
    strategy: StrategyCard
    resize: Any = None
    absent_classes: str
    ignore_index: Any = None
    boundary: Any = None
    num_classes: int
    checkpoint: CheckpointCard
    initial_weights: Any = None
    """Name or hash of the weights that training began with."""
    precision: Any = None
    """Of the forward passes."""
    segsweep: Any = None
    """The version that tested."""


@dataclass(frozen=True, kw_only=True)
class Node(Record):
    """A part of a configuration that names a class."""

    target: str = named("_target_")


@dataclass(frozen=True, kw_only=True)
class Asked(Record):
    """asked.json of a test: how it was asked for."""

    strategy: Node
    suffix: str
    """What the test's name has after the strategy's; see `tested.test_suffix`."""
    usual: str | None = "counts"
    """What the split yields unasked, see `tested.needed`; older notes are of splits with a public truth."""


@dataclass(frozen=True, kw_only=True)
class Config(Record):
    """config.yaml: the resolved configuration, of any version."""

    backbone: Options = field(default_factory=dict)
    head: Options = field(default_factory=dict)
    dataset: Options = field(default_factory=dict)
    augment: Options = field(default_factory=dict)
    sampling: Options | None = None
    loss: Options = field(default_factory=dict)
    optimizer: Options | None = None
    scheduler: Options | None = None
    trainer: Options = field(default_factory=dict)
    checkpoint: Options = field(default_factory=dict)
    test: dict[str, Node] = field(default_factory=dict)
    logger: Options | None = None
    batch_size: int = 1
    num_workers: int = 0
    num_classes: int = 1
    retries: int = 0
    seed: Finite = 0
    split: str | None = None
    predictions: str | None = None
    sweep: str | None = None
    runs_dir: str = ""
    size: tuple[int, ...] = ()
    wait: bool = True


@dataclass(frozen=True, kw_only=True)
class SlurmJob(Record):
    """job.json: the Slurm job that was last given the run; status.json is for the run's process to write."""

    slurm: str
    """The job's id."""
    submitted: Finite | None = None
