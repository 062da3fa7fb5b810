"""Hydra as a library: every private name of Hydra that planning uses stands in this module.

`hydra.main` reads `sys.argv`, composes, and calls back. Here the same parts are called one by one with
values.
"""

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from segsweep.config.groups import root
from segsweep.errors import ConfigError, near

COMMANDS = ("run", "multirun", "cfg", "info", "shell_completion")
"""Flags of which Hydra takes one at a time."""


def parse_flags(command: str, arguments: Sequence[str]) -> Namespace:
    """Separate Hydra's flags, wherever they stand, from the overrides, which are `.overrides`.

    Raises:
        ConfigError: a flag that does not exist or lacks its value, or two that exclude each other.
    """
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise ConfigError(f"{message}; segsweep {command} --help lists the flags")

    parser.error = fail  # type: ignore[method-assign]
    flags, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        known = re.findall(r"--[a-z-]+", parser.format_usage())
        fail(f"{unknown[0]}: no such flag; {near(unknown[0], known)}")
    given = [name for name in COMMANDS if getattr(flags, name)]
    if len(given) > 1:
        fail(f"{' and '.join(f'--{name}' for name in given)} exclude each other: give one of them")
    if flags.resolve and not flags.cfg:
        fail("--resolve: expected with --cfg")
    return flags


class Application:
    """Hydra over segsweep's configuration, and the user's own, as the flags of a command ask for it."""

    def __init__(self, flags: Namespace) -> None:
        version.setbase("1.3")
        search_path = create_config_search_path(flags.config_path or str(root() / "conf"))
        if flags.config_dir is not None:
            folder = Path(flags.config_dir).absolute()
            if not folder.is_dir():
                raise ConfigError(f"--config-dir {flags.config_dir}: no such folder")
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        self.flags, self.name = flags, flags.config_name or "config"
        self.loader = ConfigLoaderImpl(search_path)
        self.hydra = Hydra("segsweep", self.loader)

    def show(self, overrides: Sequence[str]) -> bool:
        """Print what --cfg, --info, --hydra-help or --shell-completion ask for; tell if any is given."""
        flags, hydra = self.flags, self.hydra
        given = list(overrides)
        if flags.hydra_help:
            hydra.hydra_help(self.name, get_args_parser(), flags)
        elif flags.cfg:
            hydra.show_cfg(self.name, given, flags.cfg, flags.package, flags.resolve)
        elif flags.info:
            hydra.show_info(flags.info, self.name, given)
        elif flags.shell_completion:
            hydra.shell_completion(self.name, given)
        else:
            return False
        return True

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the configuration, with Hydra's own settings, leaving out the axes of a sweep.

        Raises:
            HydraException: a group, choice or option that does not exist.
            OmegaConfBaseException: a value that an option cannot take.
        """
        return self.hydra.compose_config(
            self.name,
            list(overrides),
            RunMode.MULTIRUN,
            with_log_configuration=True,
            validate_sweep_overrides=False,
        )

    def check_axes(self, overrides: Sequence[str], swept: bool) -> None:
        """Raise HydraException if a single run has several values, or a sweep has of Hydra's settings."""
        parsed = OverridesParser.create(config_loader=self.loader).parse_overrides(list(overrides))
        mode = RunMode.MULTIRUN if swept else RunMode.RUN
        ConfigLoaderImpl.validate_sweep_overrides_legal(parsed, mode, from_shell=True)


def context_of(loader: Any, settings: DictConfig) -> HydraContext:
    """Return what Hydra's plugins are set up with."""
    return HydraContext(config_loader=loader, callbacks=Callbacks(settings))


def product(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the members of the product of all axes, each as overrides."""
    (members,) = BasicSweeper.split_arguments(list(overrides), None)
    return [list(member) for member in members]


def set_value(config: DictConfig, override: Override) -> None:
    """Apply an override to a composed configuration, by Hydra's own rules.

    Raises:
        HydraException: an option that does not exist.
        OmegaConfBaseException: a value that the option cannot take.
    """
    ConfigLoaderImpl._apply_overrides_to_config([override], config)
