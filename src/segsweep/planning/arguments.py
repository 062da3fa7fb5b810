"""A command's arguments in the form that Hydra takes, if the user's form is another."""

from collections.abc import Sequence
from dataclasses import dataclass

from segsweep.config.groups import without_null
from segsweep.planning.experiment import experiment_settings
from segsweep.planning.stages import group_of, key_of, of_a_stage, setting_of


@dataclass(frozen=True)
class Arguments:
    """The overrides of a command.

    hydras: as Hydra takes them. chain: whether they speak of stages. several: whether they choose several
    losses, which the composer makes a sum. forced: keys of options that Hydra is told to add. A stage of a
    chain, or a member of a sweep over heads, may choose the head that has an option given here; Hydra would
    miss it in the default head, and the composer checks it.
    """

    hydras: tuple[str, ...]
    chain: bool
    several: bool
    forced: frozenset[str]

    @classmethod
    def of(cls, overrides: Sequence[str], multirun: bool) -> "Arguments":
        """Read the overrides as the user gave them, beside a -m or without.

        Raises:
            ConfigError: null for a group that must have a choice.
        """
        overrides = [in_hydras_form(override) for override in overrides]
        chain = is_chain(overrides)
        # Hydra's other sweepers hand on our marks, so nothing is marked for them.
        foreign = any(key_of(override) == "hydra/sweeper" for override in overrides)
        axes = [setting_of(o) for o in overrides] if multirun and not chain and not foreign else []
        groups = {key for key, value in axes if "," in value and value[0] not in "[{" and "." not in key}
        several = any(key == "loss" and "[" in value for key, value in map(setting_of, overrides))
        groups |= {"loss"} if several else set()
        options = filter(is_option, overrides)
        forced = frozenset(key_of(o) for o in options if chain or group_of(o) in groups)
        marked = (f"++{o.lstrip('+')}" if key_of(o) in forced else o for o in overrides)
        return cls(tuple(marked), chain, several, forced)


def is_chain(overrides: Sequence[str]) -> bool:
    """Return whether the overrides speak of stages, by themselves or through an experiment."""
    settings = [setting_of(override) for override in overrides]
    for name in [value for key, value in settings if key == "experiments"]:
        settings += experiment_settings(name)
    chosen = any(key == "stages" and value != "single" for key, value in settings)
    return chosen or any(of_a_stage(override) for override in overrides)


def is_option(override: str) -> bool:
    """Return whether an override sets an option of a group or of a stage, and does not add or remove one."""
    key = override.partition("=")[0]
    option = "." in key and key[0] not in "+~-" and not key.startswith("hydra.")
    return of_a_stage(override) or option


def in_hydras_form(argument: str) -> str:
    """Return an argument in Hydra's own form.

    Experiments are an axis that is there, null is an empty list, and `hydra.launcher.gpus=0,1` is one value,
    although Hydra would sweep over two.
    """
    argument = without_null(argument.replace("+experiments=", "experiments="))
    key, _, value = argument.partition("=")
    listed = key == "hydra.launcher.gpus" and "," in value and value[0] not in "[\"'"
    return f"{key}=[{value}]" if listed else argument
