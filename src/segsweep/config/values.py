"""Values and keys that no run can have, found as soon as a configuration is composed and before torch is.

The parts that take the values ask the same rules; what they alone know (how many stages an encoder has,
which files there are) they say when they are built.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files
from segsweep.config.explain import near_option
from segsweep.errors import ConfigError, near
from segsweep.rules import (
    ABOVE_0,
    AUX_TARGET,
    BETAS,
    BINS,
    CHANNELS,
    CONVOLUTIONS,
    COUNT,
    DECAY,
    DROPOUT,
    FROM_0,
    FUSIONS,
    RATES,
    SEED,
    SIDES,
    STEPS,
    TAPS,
    WEIGHTS,
    WORDS,
    Rule,
    check_crop,
    is_whole,
    micro_batch,
    one_of,
    whole,
)

OURS = "segsweep."
"""What the targets of shipped parts begin with: another part's options are its own."""
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")  # Lightning's names
NULL = {"sampling", "stages"}
"""Groups of which a run may have none."""
LONGEST = 200
"""Bytes of a name, to which file names add some: file systems take 255."""


def _is_short(name: str) -> bool:
    return all(len(part.encode()) <= LONGEST for part in name.split("/"))


RULES: Mapping[str, Rule] = {
    "seed": SEED,
    "batch_size": whole(1, "a number of images"),
    "num_workers": whole(0, "a number of processes"),
    "size": SIDES,
    "num_classes": whole(1, "a number of classes"),
    "runs_dir": Rule(bool, "a folder"),
    "sweep": Rule(lambda v: v is None or _is_short(str(v)), f"a name of at most {LONGEST} bytes"),
    "predictions": Rule(lambda v: v in (None, "png", "submission"), "null, png or submission"),
    "trainer.accelerator": one_of("auto", "cpu", "gpu", "cuda"),
    "trainer.freeze": WORDS.or_null(),
    "trainer.max_steps": STEPS,
    "trainer.val_every": STEPS.or_null(),
    "trainer.log_every": STEPS,
    "trainer.precision": one_of(*PRECISIONS),
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.gradient_clip_val": FROM_0.or_null(),
    "trainer.ema_decay": DECAY.or_null(),
    "trainer.sync_batchnorm": Rule(lambda v: v in ("auto", True, False), "auto, true or false"),
    "trainer.on_nan": one_of("stop", "skip"),
    "trainer.on_oom": one_of("fail", "shrink"),
    "checkpoint.every": STEPS,
    "checkpoint.minutes": ABOVE_0.or_null(),
    "checkpoint.test": Rule(lambda v: v in ("last", "best"), "last or best"),
    "optimizer.betas": BETAS,
    "loss.class_weights": WEIGHTS.or_null(),
    "head.width": CHANNELS.or_null(),
    "head.fine_width": CHANNELS.or_null(),
    "head.depth": CONVOLUTIONS,
    "head.rates": RATES,
    "head.fine_rates": RATES,
    "head.spp": BINS,
    "head.fuse": FUSIONS,
    "head.dropout": DROPOUT,
    "head.aux": TAPS,
    "head.aux_target": AUX_TARGET,
}
CLOSED = ("trainer", "checkpoint")
"""Groups that no part is built of, so that nobody else would miss an option that there is not."""


def check_values(config: Mapping[str, Any]) -> None:
    """Check every value that can be judged without a network and without data.

    Raises:
        ConfigError: the first that cannot be.
    """
    for group in ("", *CLOSED, "head", "loss", "optimizer"):
        check_group(config, group)
    _check_size_and_batch(config)


def check_keys(config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuse what the command line takes away, and what it adds, with a plus, where nothing reads it.

    An experiment's file may have keys of its own, to refer to.

    Raises:
        ConfigError: the first such key.
    """
    known = config_files.options("") | set(config_files.GROUPS)
    for key in sorted(known - config.keys() - NULL):
        raise ConfigError(f"{key}: every run needs it; leave out what takes it away (~{key})")
    for override in overrides:
        key = override.partition("=")[0]
        first = key.lstrip("+").partition(".")[0]
        if key.startswith("+") and first in config and first not in known:
            raise ConfigError(f"{key}: nothing reads such an option; {near_option(first, known)}")


def check_group(config: Mapping[str, Any], group: str) -> None:
    """Check the options of one group; of the top level, for an empty name.

    Raises:
        ConfigError: the first value or key that cannot be.
    """
    options = config[group] if group else config
    if group in CLOSED:
        known = _options_of(group, tuple(config_files.folders()))
        for key in sorted(options.keys() - known):
            raise ConfigError(f"{group}.{key}: no such option; {near(key, known)}")
    if not str(options.get("_target_", OURS)).startswith(OURS):
        return
    for key, rule in RULES.items():
        place, _, option = key.rpartition(".")
        if place == group and option in options:
            rule.check(key, options[option])


@cache
def _options_of(group: str, folders: tuple[Path, ...]) -> frozenset[str]:
    """What a group's files, in these folders, have: the members of a sweep ask a thousand times."""
    return frozenset(config_files.options(group))


def _check_size_and_batch(config: Mapping[str, Any]) -> None:
    backbone, trainer, size = config["backbone"], config["trainer"], config["size"]
    if str(backbone.get("_target_", "")).startswith(OURS) and is_whole(backbone.get("output_stride")):
        check_crop([size] if is_whole(size) else size, backbone["output_stride"])
    if is_whole(trainer.get("devices")):
        micro_batch(config["batch_size"], trainer["devices"], trainer["accumulate_grad_batches"])
