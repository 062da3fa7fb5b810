"""A command's arguments in the form that Hydra takes, where the user's is another."""

from collections.abc import Sequence
from dataclasses import dataclass

from segsweep.config.groups import without_null
from segsweep.planning.experiment import experiment_settings
from segsweep.planning.stages import key_of, of_a_stage, setting_of


@dataclass(frozen=True)
class Arguments:
    """What the user gave: `flags` for -m, and the overrides.

    chain: whether they speak of stages. forced: keys of options that Hydra is told to add. A stage of a
    chain, or a member of a sweep over heads, may choose the head that has an option given here; Hydra
    would miss it in the default head, and the composer checks it.
    """

    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    chain: bool
    forced: frozenset[str]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Arguments":
        """The arguments as given.

        Raises:
            ConfigError: null for a group that must have a choice.
        """
        flags = tuple(a for a in arguments if a in ("-m", "--multirun"))
        overrides = tuple(_hydras(a) for a in arguments if a not in flags)
        chain = _is_chain(overrides)
        groups = _swept(overrides) if flags and not chain else set()
        options = filter(_is_option, overrides)
        forced = frozenset(key_of(o) for o in options if chain or key_of(o).split(".")[0] in groups)
        return cls(flags or (("-m",) if chain else ()), overrides, chain, forced)

    def hydras(self) -> list[str]:
        """Hydra's command line; its parser wants its flag first, wherever the user wrote it."""
        marked = (f"++{o.lstrip('+')}" if key_of(o) in self.forced else o for o in self.overrides)
        return [*self.flags, *marked]


def _is_chain(overrides: Sequence[str]) -> bool:
    """Whether the overrides speak of stages, by themselves or through an experiment."""
    settings = [setting_of(override) for override in overrides]
    for name in [value for key, value in settings if key == "experiments"]:
        settings += experiment_settings(name)
    chosen = any(key == "stages" and value != "single" for key, value in settings)
    return chosen or any(of_a_stage(override) for override in overrides)


def _swept(overrides: Sequence[str]) -> set[str]:
    """The groups with several choices; none under a sweeper of Hydra's, which keeps our marks."""
    if any(key_of(override) == "hydra/sweeper" for override in overrides):
        return set()
    axes = [setting_of(override) for override in overrides]
    return {key for key, value in axes if "," in value and value[0] not in "[{" and "." not in key}


def _is_option(override: str) -> bool:
    """Whether an override sets an option of a group or of a stage, and does not add or remove one."""
    key = override.partition("=")[0]
    option = "." in key and key[0] not in "+~-" and not key.startswith("hydra.")
    return of_a_stage(override) or option


def _hydras(argument: str) -> str:
    """An argument in Hydra's own form: experiments as an axis that is there, an empty list for null, and
    `hydra.launcher.gpus=0,1` as one value, where Hydra would sweep over two."""
    argument = without_null(argument.replace("+experiments=", "experiments="))
    key, _, value = argument.partition("=")
    listed = key == "hydra.launcher.gpus" and "," in value and value[0] not in "[\"'"
    return f"{key}=[{value}]" if listed else argument
