"""Run folders of other versions of segsweep: read if nothing is lost, else refused with what has changed.

An option that a version adds has a default that changes nothing, so older configurations are completed from
the shipped one; a class may move, as ids count classes by name. Exceptions and removals are listed here.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from segsweep.config import groups as config_files
from segsweep.config.schema import defaults
from segsweep.errors import UserError
from segsweep.runs.contents import Plan
from segsweep.runs.settings import canonical, references
from segsweep.runs.targets import shipped

T = TypeVar("T")

# Incremented when the meaning of a field changes, so that old runs are not mistaken for new ones.
# 2: classes of ours count by name alone, heads have options for auxiliary losses; `none` is another block by
# default, and a separable head's decoder is separable too.
IDENTITY_VERSION = 2
# Options that version 2 added, if their defaults differ from the earlier behaviour.
BEFORE_2 = {"none": {"depth": 1, "separable": False}}
# Removed options: the value at which they changed nothing, and the option that replaces them.
GONE = {"loss.auxiliary_weight": (1, "head.aux_weights")}
# Removed classes, and the shipped choice that replaces them.
REPLACED = {
    "CsvTracker": ("logger", "csv"),
    "NoTracker": ("logger", "csv"),
    "WandbTracker": ("logger", "wandb"),
}
# Options that were written twice, once as a reference to the other: ids still count them twice.
ECHOES = {
    **{f"dataset.{key}": key for key in ("num_classes", "size", "batch_size", "num_workers", "seed")},
    "augment.size": "size",
}
# Tensors renamed in version 2: the block of `none` became the first of several.
RENAMED = {r"^head\.context\.(\d+\.\w+)$": r"head.context.0.\1"}

# Classes of ours that were renamed: the current name, and the first one, by which ids count them.
FIRST_NAMES: dict[str, str] = {}


def class_name(target: str) -> str:
    """Return a class's name in ids: one of ours has its first name, so that its file and name may change."""
    name = target.rpartition(".")[2]
    return FIRST_NAMES.get(name, name) if target.startswith("segsweep.") else target


def with_echoes(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity as in ids and plan.json: with the options that were written twice."""
    named = {echo: key for echo, key in ECHOES.items() if key in identity and _is_echo(echo, identity)}
    return dict(sorted({**{echo: identity[key] for echo, key in named.items()}, **identity}.items()))


def without_echoes(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity with each option once; an echo with another value is kept."""
    missing = object()
    return {
        key: value
        for key, value in identity.items()
        if not (_is_echo(key, identity) and identity.get(ECHOES[key], missing) == value)
    }


def _is_echo(key: str, identity: Mapping[str, Any]) -> bool:
    """Whether an option only repeats another; a user's own augmentation may have its own size."""
    return key in ECHOES and (key != "augment.size" or "." not in identity.get("augment._target_", "."))


def current_plan(plan: Plan) -> Plan:
    """Return a plan with its identity in this version's form, so that old and new runs compare.

    The id is unchanged: it was made from the identity in the file.
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
    """Return options of the chosen head that belong to the identity since version 2."""
    options = {**_shipped("head", choices["head"]), **BEFORE_2.get(choices["head"], {})}
    added = ("aux", "aux_weights", "aux_target", *BEFORE_2.get(choices["head"], {}))
    return {f"head.{key}": options[key] for key in added if key in options}


def current_config(config: dict[str, Any], plan: Plan, trained: bool) -> dict[str, Any]:
    """Return a run's configuration in this version's form.

    Args:
        config: the content of the run's config.yaml.
        plan: the run's plan.
        trained: whether only tests are left to do, for which training options do not matter.

    Raises:
        UserError: if a newer version wrote it, a removed option changed its training, or it has references,
            as resolving them might read private values such as environment variables.
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
    return _filled(with_current_classes(_without_gone(meant, plan.id, trained)), plan.choices)


def _before_2(config: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Translate the options of version 1's heads into the current ones."""
    head = {**BEFORE_2.get(plan.choices["head"], {}), **config["head"]}
    if head["_target_"].endswith(".Aspp") and head["decoder"] and head["separable"]:
        raise UserError(
            f"run {plan.id} has head.separable=true from a segsweep in which the decoder was not "
            "separable with it, as it is here: test it with the version that its environment.json names"
        )
    return {**config, "head": head}


def current_names(weights: Mapping[str, T], wanted: Collection[str]) -> dict[str, T]:
    """Return a checkpoint's tensors by their current names in the network."""
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
                "says it now): finish it with the version that its environment.json names, or train it again"
            )
    return kept


def with_current_classes(value: Any) -> Any:
    """Return a configuration with the current modules of our classes."""
    if isinstance(value, list):
        return [with_current_classes(item) for item in value]
    if not isinstance(value, dict):
        return value
    moved = {key: with_current_classes(item) for key, item in value.items()}
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
    """Return the import paths of our classes in the shipped configuration, by name."""
    return {class_name(target): target for target in shipped() if target.startswith("segsweep.")}


def _filled(config: dict[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """Add the shipped defaults to a configuration."""
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
    from omegaconf import OmegaConf  # a listing does not need it

    resolved: Any = OmegaConf.to_container(OmegaConf.create(filled), resolve=True)
    return dict(resolved)


@cache
def _shipped(group: str, choice: str) -> dict[str, Any]:
    """Return the options of a choice; none if it is the user's own and not found from here."""
    return config_files.own_options(group, choice) if choice in config_files.choices(group) else {}
