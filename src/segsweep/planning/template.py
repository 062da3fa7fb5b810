"""Values of many members set in one configuration, which OmegaConf resolves once.

A template is a configuration with holes: a text that no command line can hold stands where a member's value
goes, and wherever OmegaConf carries it from there (`dataset.seed: ${seed}`). What a hole cannot stand for,
as a mapping or a part of a longer text (`${data_dir}/camvid`), is set in the template itself.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.planning.hydra_private import set_value
from segsweep.planning.plan import resolve

HOLE = "\0"  # begins a hole; its key follows
MOST = 200  # templates kept for one choice of groups; members without a common one need none
REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")
# What other references begin with: relative and nested ones, and resolvers that might look into a hole.
OTHER = re.compile(r"\$\{(?!oc\.env:[^${}]*\})")


class Template:
    """A configuration with holes, resolved as far as it is asked for."""

    def __init__(self, config: DictConfig) -> None:
        self.config = config

    @cached_property
    def stages(self) -> dict[str, Any]:
        """The chain alone: the other options need not fit together before a stage is chosen."""
        found: Any = (
            OmegaConf.to_container(self.config.stages, resolve=True) if self.config.get("stages") else {}
        )
        return dict(found)

    @cached_property
    def whole(self) -> dict[str, Any]:
        """All of the configuration."""
        return resolve(self.config)


@dataclass(frozen=True)
class Filled:
    """A template with the values of one member, and the choices of groups behind it."""

    template: Template
    values: Mapping[str, Any]
    choices: dict[str, str]

    def stages(self) -> dict[str, Any]:
        """Return the chain's stages by name, none for a single run."""
        return dict(fill(self.template.stages, self.values))

    def config(self) -> dict[str, Any]:
        """Return the resolved configuration, to keep.

        Raises:
            ConfigError: a value that refers to nothing.
        """
        return dict(fill(self.template.whole, self.values))


class Base:
    """One choice of groups, in which values are set by Hydra's own rules."""

    def __init__(self, config: DictConfig, choices: dict[str, str]) -> None:
        self.config, self.choices = config, choices
        self.plain: Any = OmegaConf.to_container(config)
        self.templates: dict[tuple[str, ...], Template] = {}
        texts = list(texts_of(self.plain))
        self.simple = not any(OTHER.search(REFERENCE.sub("", text)) for text in texts)
        longer = [text for text in texts if not REFERENCE.fullmatch(text)]
        # Keys whose values become part of a longer text, by themselves or through a reference to them. The
        # size may be one number for both, which is seen where it is given.
        self.inside = {k for text in [*longer, str(self.at("size"))] for k in REFERENCE.findall(text)}
        while more := {k for i in self.inside for k in REFERENCE.findall(str(self.at(i)))} - self.inside:
            self.inside |= more

    def lacks(self, override: Override) -> bool:
        """Return whether an override sets an option that does not exist."""
        return override.type == OverrideType.CHANGE and self.at(override.key_or_group, HOLE) == HOLE

    def filled(self, overrides: Sequence[Override]) -> Filled:
        """Return the configuration with the values that the overrides give.

        Raises:
            HydraException: an option that does not exist.
            OmegaConfBaseException: a value that the option cannot take.
        """
        holes: dict[str, Any] = {}
        if self.simple and not any("${" in (o.input_line or "") for o in overrides):
            holes = {o.key_or_group: o.value() for o in overrides if self.can_be_hole(o)}
        try:
            template = self.template(overrides, holes)
        except (HydraException, OmegaConfBaseException):
            # Again with the values themselves, which the error is to name.
            holes = {}
            template = self.template(overrides, holes)
        if isinstance(holes.get("size"), int):
            holes["size"] = [holes["size"], holes["size"]]
        return Filled(template, {HOLE + key: value for key, value in holes.items()}, self.choices)

    def can_be_hole(self, override: Override) -> bool:
        """Return whether an override replaces the value of an option by one that refers to nothing."""
        return (
            override.type in (OverrideType.CHANGE, OverrideType.FORCE_ADD)
            and override.package is None
            and override.key_or_group not in self.inside
            and not isinstance(self.at(override.key_or_group, {}), dict)
            and is_plain(override.value())
        )

    def at(self, key: str, default: Any = None) -> Any:
        """Return what is set under a dotted key."""
        node: Any = self.plain
        for name in key.split("."):
            node = node.get(name, default) if isinstance(node, dict) else default
        return node

    def template(self, overrides: Sequence[Override], holes: Mapping[str, Any]) -> Template:
        """Return the configuration with these holes and the other overrides' values, made once."""
        key = tuple(
            HOLE + o.key_or_group if o.key_or_group in holes else str(o.input_line) for o in overrides
        )
        if key not in self.templates:
            config = copy.deepcopy(self.config)
            for override in overrides:
                if override.key_or_group in holes:
                    OmegaConf.update(config, override.key_or_group, HOLE + override.key_or_group)
                else:
                    set_value(config, override)
            if len(self.templates) >= MOST:
                self.templates.clear()
            self.templates[key] = Template(config)
        return self.templates[key]


def is_plain(value: Any) -> bool:
    """Return whether a value refers to nothing and is no mapping."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or (isinstance(value, bool | int | float | str) and value != "???")


def texts_of(node: Any) -> Iterator[str]:
    """Yield all texts in nested values."""
    if isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts_of(value)
    elif isinstance(node, str):
        yield node


def fill(node: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy with values in the holes."""
    if isinstance(node, dict):
        return {key: fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [fill(value, values) for value in node]
    return fill(values[node], values) if isinstance(node, str) and node.startswith(HOLE) else node
