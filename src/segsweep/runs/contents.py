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
    """Planned, and its parent is being trained: derived from the parent's state, never written."""


def is_written(state: State) -> bool:
    """Whether a status.json may hold a state."""
    return state is not State.WAITING


@dataclass(frozen=True, kw_only=True)
class RecordedFailure(Record):
    """How an unfinished run ended."""

    kind: str = named("class")
    """One of the classes in failures.py."""
    log: tuple[str, ...] = ()
    """The last lines of the log."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProgress(Record):
    """How far a running test has come."""

    done: int
    images: int
    seconds_left: Finite


@dataclass(frozen=True, kw_only=True)
class Status(Record):
    """status.json: the state of a run, and how it ended."""

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
    """Summed over all starts."""
    seconds_left: float | None = None
    params: int | None = None
    """Parameters at inference."""
    origin: str | None = None
    """Where its first weights came from, in words."""
    shrunk_to: int | None = None
    """Micro-batches per step since memory ran out."""
    dropped_batches: int | None = None
    """Batches dropped because their loss was NaN."""
    environment_changes: tuple[str, ...] = ()
    """What changed between its starts, such as `torch 2.6.0 → 2.7.0`."""
    nondeterministic: tuple[str, ...] = ()
    """Operations without deterministic algorithms that its training on a GPU used."""
    untold: bool = False
    """Whether its logger still has to be given its outcome."""
    testing: EvaluationProgress | None = None
    error: str | None = None
    failure: RecordedFailure | None = None

    @property
    def remaining(self) -> float | None:
        """The last written `seconds_left`, less the time since then; None unless the run is running."""
        if self.state is not State.RUNNING or self.seconds_left is None or not isfinite(self.seconds_left):
            return None
        now = time.time()
        return max(0.0, self.seconds_left - (now - (now if self.updated is None else self.updated)))

    @property
    def seconds_until_idle(self) -> float | None:
        """Seconds until a running run has finished its training or its evaluation."""
        return self.testing.seconds_left if self.testing and self.state is State.DONE else self.remaining

    def progress(self, max_steps: int | None) -> tuple[int, int | None]:
        """Return steps done and in total; images instead during the evaluation."""
        if self.testing and self.state is State.DONE:
            return self.testing.done, self.testing.images
        return self.step, max_steps

    @property
    def failure_class(self) -> str | None:
        """The class of the failure that ended it; None if none did."""
        return self.failure.kind if self.failure else None


def is_identity_of_a_run(identity: Mapping[str, Any]) -> bool:
    """Whether the options that are read by name have values of the right type."""
    texts = ("init", "adopted", "backbone.weights", "network.weights")
    kinds = {"trainer.max_steps": int, **dict.fromkeys(texts, str)}
    return all(CHECKS[kind](identity[key]) for key, kind in kinds.items() if key in identity)


@dataclass(frozen=True, kw_only=True)
class Plan(Record):
    """plan.json: the identity of a run, and the overrides that first requested it."""

    id: str
    identity_version: int | None = None
    """The version of the rules that made the id; None for the current one."""
    identity: Annotated[Options, is_identity_of_a_run]
    """The options that define the run, by dotted key; see identity.py."""
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
    """The origin of weights that were trained elsewhere."""

    @property
    def max_steps(self) -> int | None:
        """Optimizer steps of the run; None if its weights were trained elsewhere."""
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
    """What a loss is averaged over; older versions averaged each micro-batch of a step separately."""
    gpus: tuple[str, ...] = ()
    cuda: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metrics(Record):
    """metrics.json of a test: its figures as fractions, None if no pixel counted."""

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


LAST_WEIGHTS = "last"
BEST_ON_EVALUATED = "best on the evaluated split"


def selection_of(which: str, selected_on: str, evaluated: str) -> str:
    """Return how the weights of a test were selected, in words.

    Args:
        which: `last` or `best`, by mIoU on the split that training validates on.
        selected_on: that split.
        evaluated: the split of the test. On the split that selected it, the best checkpoint's figure is an
            optimistic one.
    """
    if which == LAST_WEIGHTS:
        return LAST_WEIGHTS
    return BEST_ON_EVALUATED if selected_on == evaluated else f"best on {selected_on}"


@dataclass(frozen=True, kw_only=True)
class Card(Record):
    """protocol.json of a test: everything that its figures depend on."""

    dataset: str
    split: str
    """Its list of images."""
    split_hash: str
    images: int
    image_sizes: str | tuple[str, ...]
    """`WxH` of the images as given to the network, or the range of several."""
    label_sizes: str | tuple[str, ...] = ()
    """The same for the label maps; empty if there are no labels."""
    strategy: StrategyCard
    resize: Any = None
    absent_classes: str
    ignore_index: Any = None
    boundary: Any = None
    num_classes: int
    checkpoint: CheckpointCard
    selection: str | None = None
    """How the checkpoint was selected, `LAST_WEIGHTS`, `BEST_ON_EVALUATED` or `best on` another split; see
    `selection_of`. None in cards of older versions."""
    initial_weights: Any = None
    """Name or hash of the weights that training began with."""
    precision: Any = None
    """Of the forward passes."""
    segsweep: Any = None
    """The version that tested."""
    exported: Any = None
    """The form of the exported file that was tested, whose hash is the checkpoint's; None of a run."""


@dataclass(frozen=True, kw_only=True)
class Node(Record):
    """A part of a configuration that names a class."""

    target: str = named("_target_")


@dataclass(frozen=True, kw_only=True)
class Asked(Record):
    """asked.json of a test: the request that it answers."""

    strategy: Node
    suffix: str
    """The part of the test's name after the strategy's; see `tested.test_suffix`."""
    usual: str | None = "counts"
    """The default outcome of the split, see `tested.needed`; older files are of splits with public labels."""


@dataclass(frozen=True, kw_only=True)
class SlurmJob(Record):
    """job.json: the Slurm job that last got the run; status.json is written by the run's process alone."""

    slurm: str
    """The job's id."""
    submitted: Finite | None = None
