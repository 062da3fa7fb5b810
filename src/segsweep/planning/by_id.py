"""`segsweep test ID`: a trained run's own configuration, with the options that the command gives its test.

Nothing of this is written into the run: the tests themselves record how they were made. Testing cannot change
what a run is, so options that are part of its identity are refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf

from segsweep.config import groups as config_files
from segsweep.config.path_options import all_path_options
from segsweep.config.schema import RunConfig
from segsweep.config.values import check_types, check_values
from segsweep.errors import ConfigError
from segsweep.planning.explain import explained
from segsweep.planning.hydra_private import set_value
from segsweep.planning.plan import resolve
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import classed
from segsweep.runs.targets import named

GROUPS = ("test", "logger")
MACHINE = ("num_workers", "eval_batch_size", "trainer.accelerator", "trainer.devices")
"""What a test runs on: taken from the command, as the run may have been trained on another machine."""
OPTIONS = (*GROUPS, "split", "predictions", "checkpoint.test", "data_dir", "runs_dir", "wait", *MACHINE)
"""What may be given with an id, besides where the dataset lies (`dataset.root` and its like)."""


def check_options(arguments: Sequence[str]) -> None:
    """Raise ConfigError for an argument that would not change how a run is tested.

    Args:
        arguments: all that stands beside the ids on the command line.
    """
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if key == "force":
            raise ConfigError("force=true trains again: give it to segsweep train with the run's overrides")
        group, _, option = key.partition(".")
        if group == "dataset":
            allowed = classed(key) is False or option in all_path_options()
        else:
            allowed = key in OPTIONS or group in GROUPS
        if not equals or not allowed:
            raise ConfigError(
                f"{argument}: cannot be given with a run's id, which says what the run is; options that can: "
                f"{', '.join(OPTIONS)}, and dataset.root and other folders of its dataset"
            )


def named_classes(overrides: Sequence[str]) -> set[str]:
    """Return the classes that overrides of the command line name: their user trusts these."""
    found = set()
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        last = override.key_or_group.rpartition(".")[2]
        found |= {str(target) for _, target in named({last: override.value()})}
    return found


def chooses(argument: str, *groups: str) -> bool:
    """Return whether an argument chooses from one of these groups, as `test=[single,flip]` does."""
    return argument.partition("=")[0] in (groups or GROUPS)


def configuration(folder: RunFolder, overrides: Sequence[str], chosen: DictConfig) -> RunConfig:
    """Return the configuration under which a run is to be tested.

    Args:
        folder: the run.
        overrides: options of the command, all of which `check_options` has let pass.
        chosen: a configuration with the tests and the logger that the command chooses, composed but not
            resolved. The run's own stay unless the command chooses others.

    Raises:
        ConfigError: an option that the run's configuration does not have, or a value it cannot take.
    """
    own = folder.config()
    config = OmegaConf.create(
        {**own, "dataset": {**own["dataset"], **references_of(own, folder.plan.choices)}}
    )
    for group in GROUPS:
        if any(chooses(override, group) for override in overrides) or not own[group]:
            config[group] = chosen[group]
    for key in MACHINE:
        OmegaConf.update(config, key, OmegaConf.select(chosen, key))
    return with_options(config, own, folder, [override for override in overrides if not chooses(override)])


def with_options(
    config: DictConfig, own: Mapping[str, Any], folder: RunFolder, overrides: Sequence[str]
) -> RunConfig:
    """Return a run's configuration, resolved, with options of the command that choose from no group.

    Args:
        config: the configuration, whose references are to follow the options.
        own: the same, as the run's folder has it.
        folder: the run.
        overrides: options of the command.

    Raises:
        ConfigError: an option that the configuration does not have, or a value it cannot take.
    """
    OmegaConf.set_struct(config, True)
    with explained():
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            if override.type != OverrideType.CHANGE or override.is_sweep_override():
                raise ConfigError(f"{override.input_line}: with a run's id, give one value as key=value")
            set_value(config, override)
    resolved = RunConfig.of({**resolve(config), "runs_dir": str(folder.path.parent)})
    check_data_dir(overrides, own, resolved)
    check_types(resolved, {})
    check_values(resolved)
    return resolved


def references_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, str]:
    """Return the dataset's options that refer to others, as `${data_dir}/camvid`, as references again.

    An option that was given a value of its own keeps it.
    """
    choice = choices["dataset"]
    if choice not in config_files.choices("dataset"):
        return {}
    options = config_files.own_options("dataset", choice)
    references = {key: value for key, value in options.items() if isinstance(value, str) and "${" in value}
    known = OmegaConf.create({**config, "followed": references})
    found: Any = OmegaConf.to_container(known.followed, resolve=True)
    return {key: text for key, text in references.items() if found[key] == config["dataset"].get(key)}


def check_data_dir(overrides: Sequence[str], own: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    """Raise ConfigError if data_dir was given and the run's dataset does not lie under it."""
    given = [override for override in overrides if override.startswith("data_dir=")]
    if given and own["data_dir"] != resolved["data_dir"] and own["dataset"] == resolved["dataset"]:
        root = own["dataset"].get("root")
        raise ConfigError(
            f"{given[0]}: this run's dataset does not lie under data_dir"
            + (f" but at dataset.root={root}; give dataset.root=… instead" if root else "; leave it out")
        )
