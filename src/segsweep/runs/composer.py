"""Composing the members of a sweep, each choice of groups once.

Hydra takes a tenth of a second to compose a configuration, nearly all of it for reading the files of the
chosen groups. A sweep has few combinations of choices and many values: each combination is composed by
Hydra, and values are set in a copy of it by Hydra's own rules.
"""

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.runs.config_errors import explain
from segsweep.runs.plan import Member, plan


class Composer:
    """Turns the overrides of members into planned runs."""

    def __init__(self, context: HydraContext, composed: DictConfig) -> None:
        self.loader, self.composed = context.config_loader, composed
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.bases: dict[tuple[str, ...], tuple[DictConfig, Any]] = {}
        self.groups: dict[str, bool] = {}

    def member(self, overrides: Sequence[str]) -> Member:
        """The run that these overrides ask for.

        Raises:
            ConfigError: they cannot be composed.
        """
        try:
            parsed = self.parser.parse_overrides(list(overrides))
            values = [override for override in parsed if not self._names_a_group(override)]
            config, choices = self._base([o.input_line or "" for o in parsed if o not in values])
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from error
        return plan(config, choices, overrides)

    def _names_a_group(self, override: Override) -> bool:
        if override.key_or_group not in self.groups:
            self.groups[override.key_or_group] = bool(self.loader.get_group_options(override.key_or_group))
        return override.is_hydra_override() or self.groups[override.key_or_group]

    def _base(self, groups: Sequence[str]) -> tuple[DictConfig, Any]:
        """A copy of the configuration with these groups chosen and nothing else said, and its choices."""
        key = tuple(groups)
        if key not in self.bases:
            config = self.loader.load_sweep_config(self.composed, list(groups))
            choices = OmegaConf.to_container(config.hydra.runtime.choices)
            bare = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
            OmegaConf.set_struct(bare, True)  # an option that is not there is a mistake, not a wish
            self.bases[key] = bare, choices
        base, choices = self.bases[key]
        return copy.deepcopy(base), choices
