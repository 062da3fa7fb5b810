"""The options of a run: name, type, default, meaning, check, and whether it is part of the run's identity.

Each option is one field of a class. Hydra composes configurations from the YAML in conf/, which repeats the
defaults and meanings for its readers; a test keeps the two equal. (Hydra's structured configs cannot replace
this: a sweep's template puts text into options that hold numbers, see planning/template.py.)

Parts that are built from a class of their own (`_target_`), such as the head, have the options of that class,
so they are mappings here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from segsweep.config.option import Option, identity, setting
from segsweep.config.trainer import CheckpointConfig, TrainerConfig
from segsweep.rules import SEED, SIDES, Rule, one_of, whole

Node = Mapping[str, Any]
"""A part of the configuration that names a class in `_target_`, with that class's options."""
UNSET = "???"
"""The default of an option that the chosen dataset sets, as OmegaConf spells it."""
PARTS = ("backbone", "head")
NETWORK = ("network", *PARTS, "num_classes")
"""What a network is built from: a run has a whole network, or the two parts."""
LONGEST = 200
"""Most bytes in a name: file systems allow 255, and file names add a prefix or suffix."""


def group(*, identity: bool, default: Callable[[], Any] = dict) -> Any:
    """Return a dataclass field for a group of choices."""
    return field(default_factory=default, metadata={"group": identity})


@dataclass(frozen=True, eq=False)
class RunConfig(Mapping[str, Any]):
    """The whole configuration of one run.

    Its options are attributes. As a mapping it is the content of config.yaml, including keys that only the
    user's own parts know: for code that treats all keys alike.
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
    eval_batch_size: int = setting(
        1,
        "images of one size that validations and tests give the network together: faster on a GPU, figures "
        "differ by rounding; with 1 they are bit for bit the same on any number of devices",
        whole(1, "a number of images"),
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
        Rule(
            lambda v: v is None or all(len(part.encode()) <= LONGEST for part in str(v).split("/")),
            f"a name of at most {LONGEST} bytes",
        ),
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
    network: Node | None = group(identity=True)
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
    callbacks: Mapping[str, Node] = group(identity=True)

    @classmethod
    def of(cls, content: Node) -> Self:
        """Return a typed configuration from plain values; missing options have their defaults."""
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
    given = {one: content[one.name] for one in fields(section) if one.name in content}
    # A group without a choice is empty here, and null in files.
    return {
        one.name: value for one, value in given.items() if value is not None or "group" not in one.metadata
    }


def _options(section: type, prefix: str = "") -> Iterator[tuple[str, Option]]:
    for one in fields(section):
        if "option" in one.metadata:
            yield prefix + one.name, one.metadata["option"]
        elif one.type in (TrainerConfig, CheckpointConfig):
            yield from _options(one.type, f"{one.name}.")


OPTIONS: Mapping[str, Option] = dict(_options(RunConfig))
"""All options by their dotted names, except those of parts with a `_target_`."""
GROUPS: Mapping[str, bool] = {
    one.name: one.metadata["group"] for one in fields(RunConfig) if "group" in one.metadata
}
"""The groups of choices, and whether the chosen content is part of a run's identity."""


def defaults(section: str = "") -> dict[str, Any]:
    """Return the defaults of the top level's options, or those of `trainer` or `checkpoint`."""
    keys = {key: key.rpartition(".") for key in OPTIONS}
    return {name: OPTIONS[key].default for key, (place, _, name) in keys.items() if place == section}
