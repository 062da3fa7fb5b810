"""Check values and keys as soon as a configuration is composed, before torch is imported.

A value must have the type of its default, so that `optimizer.lr=abc`, or a `1e-3` that a YAML reader took
for text, is an error here and not after hours of training, and it must keep its option's rule. The parts
check the same rules when they are built, and what only they know, such as an encoder's number of stages.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files
from segsweep.config.schema import OPTIONS, PARTS, RunConfig, defaults
from segsweep.errors import OptionError, as_typed
from segsweep.rules import (
    AUX_TARGET,
    BETAS,
    BINS,
    BLOCKS,
    CHANNELS,
    CONVOLUTIONS,
    DROPOUT,
    FUSIONS,
    RATES,
    TAPS,
    VARIANTS,
    WEIGHTS,
    Rule,
    check_crop,
    is_whole,
    micro_batch,
    whole,
)  # fmt: skip

OURS = "segsweep."
"""Prefix of the targets of shipped parts; options of other parts are not checked here."""
SEVERAL = ("test", "logger", "loss", "callbacks")
"""Groups of which a run may have several choices."""
NULL = {"network", "sampling", "stages"}
"""Groups that may be null."""
FREE = ("size", "num_classes", "stages", "trainer.devices", "test", "head.aux_weights", "network.aux_weights")
"""Options and groups that accept other types than that of their default."""
RULES: Mapping[str, Rule] = {
    **{key: option.rule for key, option in OPTIONS.items() if option.rule is not None},
    "optimizer.betas": BETAS,
    "loss.class_weights": WEIGHTS.or_null(),
    "head.width": CHANNELS.or_null(),
    "head.fine_width": CHANNELS.or_null(),
    "head.depth": CONVOLUTIONS,
    "head.rates": RATES,
    "head.fine_rates": RATES,
    "head.spp": BINS,
    "head.bins": BINS,
    "head.fuse": FUSIONS,
    "head.dropout": DROPOUT,
    "head.aux": TAPS,
    "head.aux_target": AUX_TARGET,
    "network.blocks": BLOCKS,
    "network.dropout": DROPOUT,
    "network.variant": VARIANTS,
    "network.aux": TAPS,
    "network.aux_target": AUX_TARGET,
    "logger.pictures": whole(0, "a number of images"),
}
CLOSED = ("trainer", "checkpoint")
"""Groups from which no part is built, so that nothing else would notice an unknown option."""


def check_choices(overrides: Sequence[str]) -> None:
    """Raise ConfigError if a list is given for a group that takes one choice: Hydra would merge the files."""
    for override in overrides:
        group, _, choice = override.lstrip("+").partition("=")
        if group in config_files.GROUPS and group not in SEVERAL and choice.startswith("["):
            some = choice.strip("[]")
            instead = f"-m {group}={some} takes one after the other"
            raise OptionError(override.partition("=")[0], choice, "one choice", remedy=instead)


def check_types(config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Raise ConfigError for the first value whose type is not that of its option's default, if not null."""
    for key, default in _defaults(tuple(choices.items()), tuple(config_files.folders())).items():
        group, _, option = key.rpartition(".")
        value = (config.get(group) or {}).get(option) if group else config.get(option)
        if value is not None and not _is_kind(value, default):
            raise OptionError(key, value, f"{_expected(default)}, such as {as_typed(default)}")


@cache
def _defaults(chosen: tuple[tuple[str, str], ...], folders: tuple[Path, ...]) -> dict[str, Any]:
    """Return the defaults that show a type, for choices of groups from these folders."""
    choices = dict(chosen)
    flat = {key: option.default for key, option in OPTIONS.items()}
    for group in config_files.GROUPS:
        named = choices.get(group)  # a sum of losses is no single choice
        if named in config_files.choices(group) and group not in (*FREE, "trainer"):
            own = config_files.own_options(group, named)
            flat |= {f"{group}.{key}": value for key, value in own.items()}
    free = {key for key in flat if key.split(".")[0] in FREE or key in FREE}
    return {key: value for key, value in flat.items() if key not in free and _expected(value) is not None}


def _expected(default: Any) -> str | None:
    """Describe the type of a default; None for null and for values that are set elsewhere."""
    if isinstance(default, str) and ("${" in default or default == "???"):
        return None
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", list: "a list"}
    return kinds.get(type(default))


def _is_kind(value: Any, default: Any) -> bool:
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def check_values(config: RunConfig) -> None:
    """Raise ConfigError for the first wrong value, as far as this takes neither a network nor data."""
    for group in ("", *CLOSED, "network", "head", "loss", "optimizer", "logger"):
        check_group(config, group)
    stride, trainer = config.backbone.get("output_stride", 0), config.trainer
    if str(config.backbone.get("_target_", "")).startswith(OURS) and is_whole(stride):
        check_crop(config.size, stride)
    if isinstance(trainer.devices, int) and trainer.devices > 0:
        micro_batch(config.batch_size, trainer.devices, trainer.accumulate_grad_batches)
    trainer.val_interval()  # val_every must divide max_steps


def check_keys(config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Raise ConfigError for a needed key that is removed with `~`, or an added one (`+`) that nothing reads.

    An experiment's file may define keys of its own, to refer to.
    """
    known = config_files.options("") | set(config_files.GROUPS)
    taken_away = {override[1:].partition("=")[0] for override in overrides if override.startswith("~")}
    for key in sorted(known & (taken_away | (known - config.keys())) - NULL):
        raise OptionError(key, problem="every run needs it", remedy=f"leave out what takes it away (~{key})")
    for override in overrides:
        key = override.partition("=")[0]
        first = key.lstrip("+").partition(".")[0]
        if key.startswith("+") and first in config and first not in known:
            remedy = config_files.near_option(first, known)
            raise OptionError(key, problem="nothing reads such an option", remedy=remedy)


def of_one_network(
    config: Mapping[str, Any], choices: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return a configuration without backbone and head if a whole network is chosen.

    Raises:
        ConfigError: an override is about one of these.
    """
    if not config.get("network"):
        return dict(config)
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key.partition(".")[0] in PARTS:
            problem = f"network={choices['network']} is a whole network, without backbone and head"
            raise OptionError(key, value, problem=problem, remedy="leave out one of the two")
    return {key: value for key, value in config.items() if key not in PARTS}


def check_group(config: Mapping[str, Any], group: str) -> None:
    """Raise ConfigError for the first wrong value or key of a group; the top level for an empty name."""
    options = (config.get(group) or {}) if group else config
    if group in CLOSED:
        known = defaults(group).keys()
        for key in sorted(options.keys() - known):
            raise OptionError(f"{group}.{key}", problem="no such option", near=known)
    if not str(options.get("_target_", OURS)).startswith(OURS):
        return
    for key, rule in RULES.items():
        place, _, option = key.rpartition(".")
        if place == group and option in options:
            rule.check(key, options[option])
