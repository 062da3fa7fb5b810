"""The options of a run: name, type, default, meaning, check, and whether it is part of the run's identity.

Each is one field of a class here. Hydra composes configurations from the YAML in conf/, which repeats the
defaults and meanings for whoever reads it there; a test holds the two together. (Hydra's structured configs
cannot replace it: a sweep's template puts text into options that hold numbers, see planning/template.py.)

Parts that are built from a class of their own (`_target_`), such as the head, have the options of that class,
so they stay mappings here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from segsweep.errors import OptionError
from segsweep.rules import (
    ABOVE_0,
    COUNT,
    DECAY,
    DEVICES,
    FROM_0,
    SEED,
    SIDES,
    STEPS,
    WORDS,
    Rule,
    one_of,
    whole,
)

Node = Mapping[str, Any]
"""A part of the configuration that names a class in `_target_`, with that class's options."""
UNSET = "???"
"""The default of an option that the chosen dataset sets, as OmegaConf spells it."""
LONGEST = 200
"""Bytes of a name, to which file names add some: file systems take 255."""
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")  # Lightning's names


@dataclass(frozen=True)
class Option:
    """What is known of an option besides its name and type."""

    default: Any
    meaning: str
    rule: Rule | None
    identity: bool
    """Whether another value may change the trained weights, and so makes another run."""


def identity(default: Any, meaning: str, rule: Rule | None = None) -> Any:
    """Return a dataclass field for an option that is part of a run's identity."""
    return field(default=default, metadata={"option": Option(default, meaning, rule, identity=True)})


def setting(default: Any, meaning: str, rule: Rule | None = None) -> Any:
    """Return a dataclass field for an option with which a run stays the same run."""
    return field(default=default, metadata={"option": Option(default, meaning, rule, identity=False)})


def group(*, identity: bool, default: Callable[[], Any] = dict) -> Any:
    """Return a dataclass field for a group of choices."""
    return field(default_factory=default, metadata={"group": identity})


def _is_short(name: object) -> bool:
    return all(len(step.encode()) <= LONGEST for step in str(name).split("/"))


@dataclass(frozen=True)
class TrainerConfig:
    """Length, precision and device of a run. What has a Lightning name does what it does there."""

    max_steps: int = identity(500, "optimizer steps", STEPS)
    val_every: int | None = identity(
        None,
        "steps between validations, a divisor of max_steps; null: up to five, evenly spread",
        STEPS.or_null(),
    )
    accelerator: str = setting("auto", "cpu, gpu, auto …", one_of("auto", "cpu", "gpu", "cuda"))
    devices: int | str = setting(
        1, "GPUs, or processes on the CPU; auto: all GPUs. batch_size is divided among them", DEVICES
    )
    sync_batchnorm: bool | str = setting(
        "auto",
        "BatchNorm over all devices: auto (if each has fewer than 16 images at a time), true, false",
        Rule(lambda v: v in ("auto", True, False), "auto, true or false"),
    )
    precision: str = identity("32-true", "16-mixed, bf16-mixed …", one_of(*PRECISIONS))
    accumulate_grad_batches: int = identity(
        1,
        "micro-batches per optimizer step; batch_size is divided among them. The loss is the step's mean",
        COUNT,
    )
    gradient_clip_val: float | None = identity(None, "largest norm of the gradient", FROM_0.or_null())
    ema_decay: float | None = identity(
        None, "such as 0.999: validate and test an exponential moving average of the weights", DECAY.or_null()
    )
    freeze: list[str] | None = identity(
        None,
        "parts not to train: [encoder], [batch_norm] (with its statistics), or others by name",
        WORDS.or_null(),
    )
    on_nan: str = setting(
        "stop",
        "a loss that is not finite: stop (the run fails, its samples named) or skip (drop the batch)",
        one_of("stop", "skip"),
    )
    on_oom: str = setting(
        "fail",
        "out of memory: fail, or shrink (smaller micro-batches at the same batch_size, noted)",
        one_of("fail", "shrink"),
    )
    log_every: int = setting(10, "steps between the rows of metrics.csv", STEPS)

    def val_interval(self) -> int:
        """Return the steps between validations, such that the last one falls on the last step.

        If `val_every` is None, the shortest interval that divides `max_steps` into at most five.

        Raises:
            OptionError: `val_every` does not divide `max_steps`, so that the end would not be validated.
        """
        wanted, steps = self.val_every, self.max_steps
        divisors = [d for d in range(1, steps + 1) if steps % d == 0]
        if wanted is None:
            return next(d for d in divisors if steps // d <= 5)
        if wanted < steps and steps % wanted:
            closest = sorted(sorted(divisors, key=lambda d: abs(d - wanted))[:3])
            problem = f"does not divide trainer.max_steps={steps}, so its end would not be validated"
            raise OptionError("trainer.val_every", wanted, problem=problem, remedy=f"use one of {closest}")
        return min(wanted, steps)


@dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written, and which one is tested."""

    every: int = setting(
        200, "steps between checkpoints; one is always written before a validation and at the end", STEPS
    )
    minutes: float | None = setting(None, "and after so many minutes", ABOVE_0.or_null())
    test: str = setting(
        "last",
        "which weights are tested: last (as the papers) or best (by validation mIoU)",
        Rule(lambda v: v in ("last", "best"), "last or best"),
    )


@dataclass(frozen=True, eq=False)
class RunConfig(Mapping[str, Any]):
    """The whole configuration of one run.

    Its options are attributes. As a mapping it is what config.yaml holds, with keys that only the user's own
    parts know: for code that treats all keys alike.
    """

    content: Node = field(repr=False)
    seed: int = identity(0, "of the weights and of all that is drawn at random", SEED)
    batch_size: int = identity(
        8,
        "images per optimizer step, over all devices and accumulated micro-batches",
        whole(1, "a number of images"),
    )
    num_workers: int = setting(
        0, "processes that load and augment images, per device", whole(0, "a number of processes")
    )
    num_classes: int = identity(UNSET, "set by the dataset", whole(1, "a number of classes"))
    size: list[int] = identity(
        UNSET, "training crop, [height, width] or one number for both; set by the dataset", SIDES
    )
    checkpoint: CheckpointConfig = CheckpointConfig()
    split: str | None = setting(None, "split to test on; null: the one the dataset reports")
    predictions: str | None = setting(
        None,
        "kept of every image of the split: png (a PNG each) or submission (its benchmark's archive); null: "
        "none, or that archive if a split's truth is not public and it yields nothing else",
        Rule(lambda v: v in (None, "png", "submission"), "null, png or submission"),
    )
    runs_dir: str = setting("${oc.env:SEGSWEEP_RUNS,runs}", "where runs are kept", Rule(bool, "a folder"))
    data_dir: str = setting("${oc.env:SEGSWEEP_DATA,data}", "where datasets are kept, one folder each")
    sweep: str | None = setting(
        None,
        "a name for a sweep; null: made from its members",
        Rule(lambda v: v is None or _is_short(v), f"a name of at most {LONGEST} bytes"),
    )
    init: str | None = identity(None, "weights to start from: a checkpoint or state dict, or the id of a run")
    wait: bool = setting(True, "for a run that another process is at work on; false: say so and stop")
    force: bool = setting(False, "train again: what is there is moved to runs_dir/replaced")
    on_failure: str = setting(
        "continue", "a sweep's run that fails: continue with the others, or stop", one_of("continue", "stop")
    )
    retries: int = setting(
        0,
        "times that a sweep's run is tried again after a fault that may pass (killed, or unknown)",
        whole(0, "a number of times"),
    )
    early_stop: str | None = setting(
        None,
        "median: a sweep of chains does not continue runs whose val mIoU is below their stage's median",
        one_of("median").or_null(),
    )
    skip_invalid: bool = setting(
        False, "leave out sweep members that cannot be built, with a line each, instead of stopping"
    )
    backbone: Node = group(identity=True)
    head: Node = group(identity=True)
    dataset: Node = group(identity=True)
    augment: Node = group(identity=True)
    sampling: Node | None = group(identity=True)
    loss: Node = group(identity=True)
    optimizer: Node = group(identity=True)
    scheduler: Node = group(identity=True)
    stages: Node | None = group(identity=False)
    trainer: TrainerConfig = group(identity=True, default=TrainerConfig)
    test: Mapping[str, Node] = group(identity=False)
    logger: Node = group(identity=False)

    @classmethod
    def of(cls, content: Node) -> Self:
        """Read a configuration of plain values; options that it lacks have their defaults."""
        return cls(
            **{
                **_known(cls, content),
                "trainer": TrainerConfig(**_known(TrainerConfig, content.get("trainer") or {})),
                "checkpoint": CheckpointConfig(**_known(CheckpointConfig, content.get("checkpoint") or {})),
                "content": content,
            }
        )

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    def changed(self, **options: Any) -> Self:
        """Return a copy with other plain values at the top level."""
        return self.of({**self.content, **options})


def _known(section: type, content: Node) -> dict[str, Any]:
    return {one.name: content[one.name] for one in fields(section) if one.name in content}


def _options(section: type, prefix: str = "") -> Iterator[tuple[str, Option]]:
    for one in fields(section):
        if "option" in one.metadata:
            yield prefix + one.name, one.metadata["option"]
        elif one.type in (TrainerConfig, CheckpointConfig):
            yield from _options(one.type, f"{one.name}.")


OPTIONS: Mapping[str, Option] = dict(_options(RunConfig))
"""Every option that is known here, by its dotted name."""
GROUPS: Mapping[str, bool] = {
    one.name: one.metadata["group"] for one in fields(RunConfig) if "group" in one.metadata
}
"""The groups of choices; whether what is chosen is part of a run's identity."""


def defaults(section: str = "") -> dict[str, Any]:
    """Return the defaults of the top level's options, or those of `trainer` or `checkpoint`."""
    keys = {key: key.rpartition(".") for key in OPTIONS}
    return {name: OPTIONS[key].default for key, (place, _, name) in keys.items() if place == section}
