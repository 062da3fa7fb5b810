"""Run folders of other versions of segsweep: read where that loses nothing, else refused with what changed.

An option that a version adds has a default under which all is as it was, so what lacks it is completed from
the shipped configuration; a class may move, as ids count classes by name. What went otherwise, and what was
taken away, is listed here.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from segsweep.config import groups as config_files
from segsweep.config.schema import defaults
from segsweep.errors import UserError
from segsweep.runs.contents import Plan
from segsweep.runs.settings import canonical, references

T = TypeVar("T")

# Raised when the meaning of a field changes, so that old runs are told apart instead of mistaken.
# 2: classes of ours count by name alone, heads have options for auxiliary losses; `none` is another block by
# default, and a separable head's decoder is separable too.
IDENTITY_VERSION = 2
# Options that version 2 added, where what was before is not their default.
BEFORE_2 = {"none": {"depth": 1, "separable": False}}
# Options that are no more: the value at which they changed nothing, and what says the same now.
GONE = {"loss.auxiliary_weight": (1, "head.aux_weights")}
# Classes that no longer exist, and the shipped choice that does the same now.
REPLACED = {
    "CsvTracker": ("logger", "csv"),
    "NoTracker": ("logger", "csv"),
    "WandbTracker": ("logger", "wandb"),
}
# Options that were written twice, the second time as a reference to the first: ids still count them twice.
ECHOES = {
    **{f"dataset.{key}": key for key in ("num_classes", "size", "batch_size", "num_workers", "seed")},
    "augment.size": "size",
}
# Tensors that have another name since version 2: the block of `none` became the first of several.
RENAMED = {r"^head\.context\.(\d+\.\w+)$": r"head.context.0.\1"}


# Classes of ours by another name than at first: the present name, and the first one, by which ids count them.
FIRST_NAMES: dict[str, str] = {}


def class_name(target: str) -> str:
    """What a class counts as in ids: one of ours by its first name, so that its file and name may change."""
    name = target.rpartition(".")[2]
    return FIRST_NAMES.get(name, name) if target.startswith("segsweep.") else target


def with_echoes(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity as ids count it and plan.json keeps it: with the options that were written twice."""
    named = {echo: key for echo, key in ECHOES.items() if key in identity and _is_echo(echo, identity)}
    return dict(sorted({**{echo: identity[key] for echo, key in named.items()}, **identity}.items()))


def without_echoes(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity with each option once; one that was given a value of its own stays."""
    missing = object()
    return {
        key: value
        for key, value in identity.items()
        if not (_is_echo(key, identity) and identity.get(ECHOES[key], missing) == value)
    }


def _is_echo(key: str, identity: Mapping[str, Any]) -> bool:
    """Whether an option only repeats another; a user's own augmentation may have a size of its own."""
    return key in ECHOES and (key != "augment.size" or "." not in identity.get("augment._target_", "."))


def current_plan(plan: Plan) -> Plan:
    """Return a plan with its identity as this version has it, so that old and new runs compare.

    The id stays: it was made from the identity as it stands in the file.
    """
    lineage = {stage: without_echoes(own) for stage, own in plan.lineage.items()}
    return replace(plan, identity=without_echoes(_current_identity(plan)), lineage=lineage)


def _current_identity(plan: Plan) -> Mapping[str, Any]:
    if plan.identity_version is None or plan.identity_version >= IDENTITY_VERSION:
        return plan.identity
    old = {key: value for key, value in plan.identity.items() if GONE.get(key, (None,))[0] != value}
    for key in old:
        if key.endswith("_target_"):
            old[key] = class_name(old[key])
    added = {key: canonical(value) for key, value in _added(plan.choices).items()}
    return dict(sorted({**added, **old}.items()))


def _added(choices: Mapping[str, str]) -> dict[str, Any]:
    """Options of the chosen heads that are part of the identity since version 2."""
    options = {**_shipped("head", choices["head"]), **BEFORE_2.get(choices["head"], {})}
    added = ("aux", "aux_weights", "aux_target", *BEFORE_2.get(choices["head"], {}))
    return {f"head.{key}": options[key] for key in added if key in options}


def current_config(config: dict[str, Any], plan: Plan, trained: bool) -> dict[str, Any]:
    """A run's configuration as this version has it.

    Args:
        config: as it stands in the run's config.yaml.
        plan: the run's plan.
        trained: whether only tests are left to do, for which nothing of the training matters.

    Raises:
        UserError: a newer version wrote it, an option that this one does not have shaped its training, or it
            has references: to resolve them may read what is none of the run's, as environment variables.
    """
    for key, text in references(config):
        raise UserError(
            f"run {plan.id}: {key}={text} in its config.yaml is a reference, and a resolved "
            "configuration has none: write the value there, if you trust where the run comes from"
        )
    version = IDENTITY_VERSION if plan.identity_version is None else plan.identity_version
    if version > IDENTITY_VERSION:
        raise UserError(
            f"run {plan.id} was written by a newer segsweep (identity version {version}, this one's is "
            f"{IDENTITY_VERSION}): it can be listed and shown here; install that version to train or test it"
        )
    meant = _before_2(config, plan) if version < 2 else config
    return _filled(_moved(_without_gone(meant, plan.id, trained)), plan.choices)


def _before_2(config: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """What version 1 meant by its heads' options, in today's."""
    head = {**BEFORE_2.get(plan.choices["head"], {}), **config["head"]}
    if head["_target_"].endswith(".Aspp") and head["decoder"] and head["separable"]:
        raise UserError(
            f"run {plan.id} has head.separable=true from a segsweep in which the decoder was not "
            "separable with it, as it is here: test it with the version that its environment.json names"
        )
    return {**config, "head": head}


def current_names(weights: Mapping[str, T], wanted: Collection[str]) -> dict[str, T]:
    """A checkpoint's tensors by the names that the network has for them now, where they were renamed."""
    named = {}
    for key, value in weights.items():
        now = next((re.sub(old, new, key) for old, new in RENAMED.items() if re.match(old, key)), key)
        named[now if key not in wanted and now in wanted else key] = value
    return named


def _without_gone(config: dict[str, Any], id: str, trained: bool) -> dict[str, Any]:
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    augment = str((config.get("augment") or {}).get("_target_"))
    echoes = {k: (config.get(now), now) for k, now in ECHOES.items() if now in config}
    if not augment.startswith("segsweep."):
        echoes.pop("augment.size", None)
    for key, (neutral, now) in {**GONE, **echoes}.items():
        group, _, option = key.rpartition(".")
        value = (kept.get(group) or {}).pop(option, neutral)
        if value != neutral and not trained:
            raise UserError(
                f"run {id} was begun with {key}={value}, an option that this segsweep does not have ({now} "
                "says it now): finish it with the version that its environment.json names, or train it anew"
            )
    return kept


def _moved(value: Any) -> Any:
    """The same with classes of ours where they are now."""
    if isinstance(value, list):
        return [_moved(item) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {key: _moved(item) for key, item in value.items()}
    target = str(moved.get("_target_"))
    if not target.startswith("segsweep."):
        return moved
    if class_name(target) in REPLACED:
        group, choice = REPLACED[class_name(target)]
        now = config_files.read(dict(config_files.files(group))[choice])
        return {**now, **moved, "_target_": now["_target_"]}
    return {**moved, "_target_": _targets().get(class_name(target), target)}


@cache
def _targets() -> dict[str, str]:
    """Where each class that the shipped configuration names is, by its name."""
    nodes = [
        config_files.read(file) for group in config_files.GROUPS for _, file in config_files.files(group)
    ]
    found = [target for node in nodes for target in _targets_in(node) if target.startswith("segsweep.")]
    return {class_name(target): target for target in found}


def _targets_in(value: Any) -> Iterator[str]:
    for key, item in value.items() if isinstance(value, dict) else ():
        if key == "_target_":
            yield item
        yield from _targets_in(item)


def _filled(config: dict[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """The configuration with the shipped defaults of what it lacks."""
    parts = {group: _shipped(group, choices[group]) for group in config_files.GROUPS if group in choices}
    filled = {
        **{group: None for group in config_files.GROUPS},
        **defaults(),
        "checkpoint": {},
        "test": {},
        **config,
    }
    for key, options in {"checkpoint": defaults("checkpoint"), **parts}.items():
        if isinstance(own := filled.get(key), dict):
            filled[key] = {**options, **own}
    if filled == config:
        return config
    from omegaconf import OmegaConf  # a listing needs none

    resolved: Any = OmegaConf.to_container(OmegaConf.create(filled), resolve=True)
    return dict(resolved)


@cache
def _shipped(group: str, choice: str) -> dict[str, Any]:
    """The options of a choice; none where it is the user's own and out of reach from here."""
    return config_files.own_options(group, choice) if choice in config_files.choices(group) else {}
