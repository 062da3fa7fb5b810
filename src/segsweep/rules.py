"""The rules for option values, each defined once.

They are checked as soon as a configuration is composed, and again when a value becomes a layer or a setting.
So nothing here imports torch, which takes seconds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from segsweep.errors import OptionError

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """A condition on a value, and a description of the valid ones: in words, or as a list of names."""

    holds: Callable[[Any], bool]
    expected: str | tuple[str, ...]

    def check(self, option: str, value: T) -> T:
        """Return the value; raise ConfigError if it breaks the rule."""
        if self.holds(value):
            return value
        if isinstance(self.expected, str):
            raise OptionError(option, value, self.expected)
        raise OptionError(option, value, near=self.expected)

    def or_null(self) -> "Rule":
        """Return the rule for an option that may also be null."""
        words = f"{self.expected}, or null" if isinstance(self.expected, str) else (*self.expected, "null")
        return Rule(lambda value: value is None or self.holds(value), words)


def one_of(*names: str) -> Rule:
    """Return a rule that accepts these names."""
    return Rule(lambda value: isinstance(value, str) and value in names, names)


def whole(least: int, words: str = "a whole number", most: float = math.inf) -> Rule:
    """Return a rule that accepts whole numbers in a range."""
    return Rule(lambda value: is_whole(value, least, most), f"{words}, at least {least}")


def is_whole(value: object, least: int = 1, most: float = math.inf) -> bool:
    """Return whether a value is a whole number in a range; true and false are not."""
    return type(value) is int and least <= value <= most


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are(value: object, item: Callable[[Any], bool], least: int = 0) -> bool:
    return isinstance(value, list | tuple) and len(value) >= least and all(map(item, value))


SIGNED_64 = 2**63
SEED = Rule(lambda v: is_whole(v, -SIGNED_64, 2 * SIGNED_64 - 1), "a whole number of at most 64 bits")
COUNT, STEPS = whole(1), whole(1, "a number of steps")
DEVICES = Rule(
    lambda v: is_whole(v) or v in ("auto", -1), "a number from 1, or auto (all GPUs of the machine)"
)
ABOVE_0 = Rule(lambda v: is_number(v) and v > 0, "a number above 0")
FROM_0 = Rule(lambda v: is_number(v) and v >= 0, "a number from 0 up")
DECAY = Rule(lambda v: is_number(v) and 0 <= v < 1, "a number from 0 to below 1, such as 0.999")
SIDES = Rule(
    lambda v: is_whole(v) or (_are(v, is_whole) and len(v) == 2),
    "a number of pixels, at least 1, or [height,width]",
)

BETAS = Rule(lambda v: _are(v, DECAY.holds, 2) and len(v) == 2, "two numbers from 0 to below 1")
WEIGHTS = Rule(lambda v: _are(v, is_number), "a list of numbers, one for each class")

CHANNELS, CONVOLUTIONS = whole(1, "a number of channels"), whole(1, "a number of convolutions")
DROPOUT = Rule(lambda v: is_number(v) and 0 <= v < 1, "a probability from 0 to below 1")
RATES = Rule(lambda v: _are(v, is_whole), "a list of whole numbers from 1 up, such as [6,12,18]")
SOME_RATES = Rule(lambda v: _are(v, is_whole, least=1), RATES.expected)
BINS = Rule(
    lambda v: _are(v, is_whole), "a list of whole numbers from 1 up, such as [8,4,2], or [] for no pooling"
)
BLOCKS = Rule(
    lambda v: _are(v, lambda n: is_whole(n, 0)) and len(v) == 2,
    "two whole numbers from 0 up, such as [2,8]",
)
FUSIONS = one_of("sum", "concat")
VARIANTS = one_of("a", "b")
IMPLEMENTATIONS = one_of("auto", "shared", "branches")
LABELS_DOWN, LABELS_CASCADE, FEATURES_UP = "labels_down", "labels_cascade", "features_up"
AUX_TARGET = one_of(LABELS_DOWN, LABELS_CASCADE, FEATURES_UP)
WORDS = Rule(lambda v: _are(v, lambda one: isinstance(one, str)), "a list of names, such as [encoder]")
TAPS = Rule(
    lambda v: v is None or (_are(v, is_whole) and len(set(v)) == len(v)),
    "a list of different taps from 1 (finest) up, such as [1,2]",
)


def check_crop(size: Sequence[int], stride: int) -> None:
    """Raise ConfigError if a training crop is smaller than one cell of the encoder's coarsest map."""
    if min(size) < stride:
        problem = f"a crop must not be smaller than the encoder's largest reduction, {stride}"
        raise OptionError("size", size, problem=problem, remedy=f"use size={2 * stride + 1} or more")


def micro_batch(batch_size: int, devices: int, accumulate: int) -> int:
    """Return the images of one device's micro-batch; raise ConfigError if it does not divide evenly."""
    images, remainder = divmod(batch_size, devices * accumulate)
    if remainder:
        raise OptionError(
            "batch_size",
            batch_size,
            problem=f"does not divide evenly among {devices} devices (trainer.devices) x {accumulate} "
            "micro-batches (trainer.accumulate_grad_batches)",
            remedy=f"give a multiple of {devices * accumulate}",
        )
    return images
