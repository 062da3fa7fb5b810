"""Composing the members of a sweep, each choice of groups once.

Hydra takes a tenth of a second to compose a configuration, nearly all of it for reading the files of the
chosen groups, and OmegaConf a hundredth to set values in a copy and resolve it. A sweep has few combinations
of choices and of keys, and many values: each combination is composed by Hydra and resolved by OmegaConf once,
as a template that members fill.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from segsweep.config import groups as config_files
from segsweep.planning.experiment import experiment_settings
from segsweep.planning.explain import explained
from segsweep.planning.plan import NOT_OF_A_RUN, Member, planned
from segsweep.planning.stages import Given, check_names, in_stage, of_a_stage, setting_of, stage_overrides
from segsweep.planning.template import Base, Filled


class Composer:
    """Turns the overrides of members into planned runs."""

    def __init__(self, loader: ConfigLoader, settings: DictConfig) -> None:
        self.loader, self.settings = loader, settings
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.bases: dict[tuple[str, ...], Base] = {}
        self.groups: dict[str, bool] = {}
        self.parsed: dict[str, Override] = {}

    def member(self, overrides: Sequence[str]) -> Member:
        """The run that these overrides ask for, the last of its chain where it has stages.

        Raises:
            ConfigError: they cannot be composed.
        """
        # A stage may choose the head that has an option given here, which is checked with the stage.
        lacking = self.lacking(overrides)
        said = [o for o in overrides if not of_a_stage(o) and o not in lacking]
        stages = {str(name): stage or {} for name, stage in self._compose(said).stages().items()}
        check_names([o for o in overrides if of_a_stage(o)], stages)
        if stages:
            return self._chain(overrides, stages)
        composed = self._compose(overrides)
        return planned(composed.config(), composed.choices, overrides)

    def lacking(self, overrides: Sequence[str]) -> list[str]:
        """The overrides that set options which the chosen groups do not have.

        Raises:
            ConfigError: the groups cannot be composed.
        """
        base = self._grouped(overrides)[0]
        return [
            o for o in overrides if not self._names_a_group(self._parse(o)) and base.lacks(self._parse(o))
        ]

    def _chain(self, overrides: Sequence[str], stages: Mapping[str, Mapping[str, Any]]) -> Member:
        """The chain's last run; what the overrides say holds in every stage, and only the last is tested.

        What they say of a stage by its name holds before that.
        """
        said = [o for o in overrides if not re.match(r"[+~]*stages\b", o)]
        experiment = experiment_settings(self._grouped(said)[0].choices.get("experiments"))
        member: Member | None = None
        for name, stage in stages.items():
            named = [in_stage(name, override) for override in overrides if of_a_stage(override, name)]
            given = Given.of([*experiment, *map(setting_of, (*said, *named))], self._is_group)
            own = stage_overrides(stage, given, config_files.defaults(), self._is_group)
            composed = self._compose([*said, *own, *named, "stages=single"])
            config = composed.config()
            if name != list(stages)[-1]:
                config["test"] = {}
            label = name if len(stages) > 1 else None
            member = planned(config, composed.choices, overrides, label, member)
        assert member is not None
        return member

    def _compose(self, overrides: Sequence[str]) -> Filled:
        with explained():
            base, values = self._grouped(overrides)
            return base.filled(values)

    def _grouped(self, overrides: Sequence[str]) -> tuple[Base, list[Override]]:
        """The configuration with the groups that are chosen, and the overrides that set values in it."""
        with explained():
            parsed = [self._parse(override) for override in overrides]
            groups = tuple(o.input_line or "" for o in parsed if self._names_a_group(o))
            if groups not in self.bases:
                self.bases[groups] = self._base(groups)
            return self.bases[groups], [o for o in parsed if not self._names_a_group(o)]

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
        given = [config_files.without_null(group) for group in groups]
        config = self.loader.load_sweep_config(self.settings, given)
        choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
        bare = OmegaConf.masked_copy(config, [str(name) for name in config if name not in NOT_OF_A_RUN])
        OmegaConf.set_struct(bare, True)  # an option that is not there is a mistake, not a wish
        OmegaConf.set_struct(bare.stages, False)  # any, and told when the stage is composed
        return Base(bare, choices)
