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
from segsweep.config.schema import PARTS
from segsweep.planning.experiment import experiment_settings
from segsweep.planning.explain import explained
from segsweep.planning.plan import NOT_OF_A_RUN, Member, planned
from segsweep.planning.stages import (
    Given,
    check_names,
    group_of,
    in_stage,
    of_a_stage,
    setting_of,
    stage_overrides,
)
from segsweep.planning.template import Base, Filled

SUM = "sum"
"""The choice of loss that several are terms of."""


class Composer:
    """Turns the overrides of members into planned runs."""

    def __init__(self, loader: ConfigLoader, settings: DictConfig) -> None:
        self.loader, self.settings = loader, settings
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.bases: dict[tuple[str, ...], Base] = {}
        self.groups: dict[str, bool] = {}
        self.parsed: dict[str, Override] = {}

    def member(self, overrides: Sequence[str]) -> Member:
        """Return the run that these overrides ask for, the last of a chain if they choose stages.

        Raises:
            ConfigError: they cannot be composed.
        """
        # A stage may choose the head that has an option given here, which is checked with the stage.
        lacking = self.lacking(overrides)
        common = [o for o in overrides if not of_a_stage(o) and o not in lacking]
        stages = {str(name): stage or {} for name, stage in self.filled(common).stages().items()}
        check_names([o for o in overrides if of_a_stage(o)], stages)
        if stages:
            return self.chain(overrides, stages)
        composed = self.filled(overrides)
        return planned(composed.config(), composed.choices, overrides)

    def lacking(self, overrides: Sequence[str]) -> list[str]:
        """Return the overrides that set options which the chosen groups do not have.

        A whole network has no backbone and head, so that all that is said about these is among them.

        Raises:
            ConfigError: the groups cannot be composed.
        """
        base = self.grouped(overrides)[0]
        of_parts = [o for o in overrides if group_of(o) in PARTS and base.choices.get("network")]
        options = [o for o in overrides if not self.names_a_group(self.parse(o))]
        return [*of_parts, *(o for o in options if o not in of_parts and base.lacks(self.parse(o)))]

    def chain(self, overrides: Sequence[str], stages: Mapping[str, Mapping[str, Any]]) -> Member:
        """Return the last run of a chain.

        Overrides hold in every stage; those that name a stage win in it. Only the last stage is tested.
        """
        common = [o for o in overrides if not re.match(r"[+~]*stages\b", o)]
        experiment = experiment_settings(self.grouped(common)[0].choices.get("experiments"))
        member: Member | None = None
        for name, stage in stages.items():
            named = [in_stage(name, override) for override in overrides if of_a_stage(override, name)]
            given = Given.of([*experiment, *map(setting_of, (*common, *named))], self.is_group)
            own = stage_overrides(stage, given, config_files.defaults(), self.is_group)
            composed = self.filled([*common, *own, *named, "stages=single"])
            config = composed.config()
            if name != list(stages)[-1]:
                config["test"] = {}
            label = name if len(stages) > 1 else None
            member = planned(config, composed.choices, overrides, label, member)
        assert member is not None
        return member

    def filled(self, overrides: Sequence[str]) -> Filled:
        """Return the configuration of these overrides, all of one stage.

        Raises:
            ConfigError: they cannot be composed.
        """
        with explained():
            base, values = self.grouped(overrides)
            return base.filled(values)

    def grouped(self, overrides: Sequence[str]) -> tuple[Base, list[Override]]:
        """Return the configuration with the chosen groups, and the overrides that set values in it."""
        with explained():
            parsed = [self.parse(override) for override in overrides]
            groups = tuple(o.input_line or "" for o in parsed if self.names_a_group(o))
            if groups not in self.bases:
                self.bases[groups] = self.base(groups)
            return self.bases[groups], [o for o in parsed if not self.names_a_group(o)]

    def parse(self, override: str) -> Override:
        """Parse an override, once."""
        if override not in self.parsed:
            (self.parsed[override],) = self.parser.parse_overrides([override])
        return self.parsed[override]

    def names_a_group(self, override: Override) -> bool:
        """Return whether an override chooses from a group, or is of Hydra's own settings."""
        return override.is_hydra_override() or self.is_group(override.key_or_group)

    def is_group(self, key: str) -> bool:
        """Return whether a key is a configuration group."""
        if key not in self.groups:
            self.groups[key] = bool(self.loader.get_group_options(key.replace(".", "/")))
        return self.groups[key]

    def base(self, groups: Sequence[str]) -> Base:
        """Return the configuration with these groups chosen and no values set."""
        given = [hydras for group in groups for hydras in in_hydras_terms(config_files.without_null(group))]
        config = self.loader.load_sweep_config(self.settings, given)
        choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
        choices |= {"loss": "+".join(sorted(config.loss.terms))} if choices["loss"] == SUM else {}
        bare = OmegaConf.masked_copy(config, [str(name) for name in config if name not in NOT_OF_A_RUN])
        OmegaConf.set_struct(bare, True)  # an option that is not there is a mistake, not a wish
        OmegaConf.set_struct(bare.stages, False)  # any, and told when the stage is composed
        return Base(bare, choices)


def in_hydras_terms(group: str) -> list[str]:
    """Return `loss=[cross_entropy,dice]` as Hydra's overrides, which put each choice's file under loss.terms.

    Hydra itself would merge the files into one. A list of one is that choice; other overrides stay.
    """
    key, _, value = group.partition("=")
    if key.lstrip("+") != "loss" or not value.startswith("["):
        return [group]
    names = [name.strip() for name in value.strip("[]").split(",") if name.strip()]
    if len(names) < 2:
        return [f"{key}={''.join(names)}"]
    terms = [(name, name.replace("/", "_")) for name in dict.fromkeys(names)]
    return [
        f"{key}={SUM}",
        *(f"+loss@loss.terms.{term}={name}" for name, term in terms),
        *(f"+loss.weights.{term}=1.0" for _, term in terms),
    ]
