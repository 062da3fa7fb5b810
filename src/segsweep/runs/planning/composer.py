"""Composing the members of a sweep, each choice of groups once.

Hydra takes a tenth of a second to compose a configuration, nearly all of it for reading the files of the
chosen groups, and OmegaConf a hundredth to set values in a copy and resolve it. A sweep has few combinations
of choices and of keys, and many values: each combination is composed by Hydra and resolved by OmegaConf once,
as a template that members fill.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.runs.config.errors import explain
from segsweep.runs.planning.plan import NOT_OF_A_RUN, Member, planned
from segsweep.runs.planning.stages import check_names, key_in, of_a_stage, stage_overrides
from segsweep.runs.planning.template import Base, Filled


class Composer:
    """Turns the overrides of members into planned runs."""

    def __init__(self, context: HydraContext, composed: DictConfig) -> None:
        self.loader, self.composed = context.config_loader, composed
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.bases: dict[tuple[str, ...], Base] = {}
        self.groups: dict[str, bool] = {}
        self.parsed: dict[str, Override] = {}

    def member(self, overrides: Sequence[str]) -> Member:
        """The run that these overrides ask for, the last of its chain where it has stages.

        Raises:
            ConfigError: they cannot be composed.
        """
        own = [override for override in overrides if of_a_stage(override)]
        if own:
            check_names(own, self._compose([o for o in overrides if o not in own]).stages())
        composed = self._compose(overrides)
        stages = {str(name): stage or {} for name, stage in composed.stages().items()}
        if stages:
            return self._chain(overrides, stages)
        return planned(composed.config(), composed.choices, overrides)

    def _chain(self, overrides: Sequence[str], stages: Mapping[str, Mapping[str, Any]]) -> Member:
        """The chain's last run; what the overrides say holds in every stage, and only the last is tested.

        What they say of a stage by its name holds before that.
        """
        said = [o for o in overrides if not re.match(r"[+~]*stages\b", o)]
        member: Member | None = None
        for name, stage in stages.items():
            named = [key_in(name, override) for override in overrides if of_a_stage(override, name)]
            own = stage_overrides(stage, said, self._is_group, named)
            composed = self._compose([*said, *own, "stages=single"])
            config = composed.config()
            if name != list(stages)[-1]:
                config["test"] = {}
            label = name if len(stages) > 1 else None
            member = planned(config, composed.choices, overrides, label, member)
        assert member is not None
        return member

    def _compose(self, overrides: Sequence[str]) -> Filled:
        try:
            parsed = [self._parse(override) for override in overrides]
            groups = tuple(o.input_line or "" for o in parsed if self._names_a_group(o))
            if groups not in self.bases:
                self.bases[groups] = self._base(groups)
            return self.bases[groups].filled([o for o in parsed if not self._names_a_group(o)])
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from error

    def _parse(self, override: str) -> Override:
        if override not in self.parsed:
            (self.parsed[override],) = self.parser.parse_overrides([override])
        return self.parsed[override]

    def _names_a_group(self, override: Override) -> bool:
        return override.is_hydra_override() or self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        if key not in self.groups:
            self.groups[key] = bool(self.loader.get_group_options(key.replace(".", "/")))
        return self.groups[key]

    def _base(self, groups: Sequence[str]) -> Base:
        """The configuration with these groups chosen and nothing else said."""
        config = self.loader.load_sweep_config(self.composed, list(groups))
        choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
        bare = OmegaConf.masked_copy(config, [str(name) for name in config if name not in NOT_OF_A_RUN])
        OmegaConf.set_struct(bare, True)  # an option that is not there is a mistake, not a wish
        OmegaConf.set_struct(bare.stages, False)  # any, and told when the stage is composed
        return Base(bare, choices)
