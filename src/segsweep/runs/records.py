"""What the small files of a run and of a sweep must hold, checked as they are read.

Disks flip bits and people edit files. A reader may rely on what a shape promises; a file that does not keep
it is damaged, which is one line with the file's name and never a traceback.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from segsweep.errors import DamagedFileError
from segsweep.rules import is_number, is_whole
from segsweep.runs.documents import read_json, read_yaml

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Shape:
    """The fields of a file, each with what its value must be; others may stand beside them."""

    required: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)

    def __call__(self, content: Any) -> bool:
        """Whether a value has this shape."""
        return self.problem(content) is None

    def problem(self, content: Any) -> str | None:
        """The first thing that is wrong with a value, in words; None if nothing is."""
        if not isinstance(content, dict):
            return f"{content!r:.40} instead of named fields"
        for name, check in self._checks.items():
            if name in content and not check(content[name]):
                return f"{name} is {content[name]!r:.40}"
        missing = self.required.keys() - content.keys()
        return f"no {min(missing)}" if missing else None

    @cached_property
    def _checks(self) -> dict[str, Check]:
        return {**self.required, **self.optional}


def read_record(path: Path, shape: Shape, repair: str) -> dict[str, Any] | None:
    """Read JSON, or YAML, of a shape; None if there is no such file.

    `repair` says what to do about a damaged one.

    Raises:
        DamagedFileError: it is no JSON or YAML, or of another shape.
    """
    read = read_yaml if path.suffix == ".yaml" else read_json
    content = read(path, repair)
    if content is None and not path.exists():
        return None
    problem = shape.problem(content)
    if problem is not None:
        raise DamagedFileError(path, f"damaged ({problem})", repair)
    return dict(content)


def text(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def whole(value: Any) -> bool:
    """A count: an integer, 0 or more."""
    return is_whole(value, least=0)


def figure(value: Any) -> bool:
    """A number that may be NaN, such as the loss of a batch."""
    return isinstance(value, float) or is_number(value)


def mapping(value: Any) -> bool:
    """Named values of any kind."""
    return isinstance(value, dict)


def maybe(check: Check) -> Check:
    """Null, or what `check` allows."""
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    """A list of such values."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def mapping_of(check: Check) -> Check:
    """Named values, each such a one."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def one_of(*values: str) -> Check:
    """One of these words."""
    return lambda value: isinstance(value, str) and value in values


def truth(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def any_of(*checks: Check) -> Check:
    """A value that one of the checks allows."""
    return lambda value: any(check(value) for check in checks)


STATES = ("planned", "running", "interrupted", "failed", "done")

IDENTITY = Shape({}, {"trainer.max_steps": whole, "init": text, "adopted": text, "backbone.weights": text})
PLAN = Shape(
    {"id": text, "identity": IDENTITY, "choices": mapping_of(text), "overrides": list_of(text)},
    {
        "identity_version": any_of(whole, text),
        "stage": maybe(text),
        "parent": maybe(text),
        "lineage": mapping_of(mapping),
    },
)
STATUS = Shape(
    {"state": one_of(*STATES), "step": whole},
    {
        **dict.fromkeys(("updated", "train_seconds"), is_number),
        **dict.fromkeys(("seconds_left", "val_miou", "best_miou"), maybe(figure)),
        **dict.fromkeys(("params", "shrunk_to", "dropped_batches"), maybe(whole)),
        "loss": maybe(figure),
        "error": maybe(text),
        "failure": maybe(Shape({"class": text}, {"log": list_of(text)})),
        "environment_changes": list_of(text),
        "testing": maybe(Shape({"done": whole, "images": whole, "seconds_left": is_number})),
    },
)
FIGURES = ("miou", "pixel_accuracy", "fwiou", "boundary_iou")
METRICS = Shape({**dict.fromkeys(FIGURES, maybe(is_number)), "images": whole}, {"per_class": mapping})
CARD = Shape(
    {
        **dict.fromkeys(("dataset", "split", "split_hash", "absent_classes"), text),
        **dict.fromkeys(("images", "num_classes"), whole),
        "image_sizes": any_of(text, list_of(text)),
        "strategy": Shape({"name": text}),
        "checkpoint": Shape({"which": text, "sha256": text}),
    }
)
NODE = Shape({"_target_": text})
ASKED = Shape({"strategy": NODE, "suffix": text}, {"usual": maybe(text)})
CONFIG = Shape(
    {},
    {
        **dict.fromkeys(("backbone", "head", "dataset", "augment", "loss", "trainer", "checkpoint"), mapping),
        "test": mapping_of(NODE),
        **dict.fromkeys(("sampling", "optimizer", "scheduler", "logger"), maybe(mapping)),
        **dict.fromkeys(("batch_size", "num_workers", "num_classes", "retries"), whole),
        "seed": is_number,
        **dict.fromkeys(("split", "predictions", "sweep"), maybe(text)),
        "runs_dir": text,
        "size": list_of(whole),
        "wait": truth,
    },
)
ENVIRONMENT = Shape({}, {"packages": mapping, "gpus": list_of(text), "ranks": whole})
JOB = Shape({"slurm": text})
MEMBER = Shape({"run": text, "number": whole})
SWEEP = Shape(
    {"name": text, "runs": list_of(text)},
    {"members": list_of(MEMBER), "started": is_number, "named": truth},
)
EVENT = Shape({"run": text, "attempt": whole, "time": is_number}, {"host": text})
