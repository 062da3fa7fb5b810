"""Where the configuration is: shipped with segsweep, and the user's own beside it."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from segsweep.config import schema
from segsweep.errors import ConfigError, OptionError, near

_ELSEWHERE = "mend it, or name another folder of configuration with SEGSWEEP_CONF"
GLOBAL = "# @package _global_"
PACKAGE = Path(__file__).parents[1]
GROUPS = tuple(schema.GROUPS)


def root() -> Path:
    """The folder that holds conf/ and experiments/: the package when installed, else the checkout."""
    return PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parents[1]


def own_folder() -> Path | None:
    """The user's own configuration: $SEGSWEEP_CONF, or conf/ in the working folder."""
    own = Path(os.environ.get("SEGSWEEP_CONF", "conf")).resolve()
    return own if own.is_dir() and own != (root() / "conf").resolve() else None


def folders() -> list[Path]:
    """All places that are searched, in order."""
    return [folder for folder in (root() / "conf", own_folder(), root()) if folder is not None]


def files(group: str) -> Iterator[tuple[str, Path]]:
    """The choices of a group, the user's own included, with their files; a shipped name keeps its meaning."""
    seen: set[str] = set()
    for folder in folders():
        for file in sorted((folder / group).rglob("*.yaml")):
            name = file.relative_to(folder / group).with_suffix("").as_posix()
            if name not in seen and _is_choice(group, file):
                seen.add(name)
                yield name, file


def _is_choice(group: str, file: Path) -> bool:
    """Beside the experiments stand parts that they share, with a leading underscore, and other data."""
    return group != "experiments" or (not file.name.startswith("_") and is_global(file))


def is_global(file: Path) -> bool:
    """Whether a file sets options of the top level, in the way that Hydra is told so."""
    return file.read_text().startswith(GLOBAL)


def choices(group: str) -> list[str]:
    """The names that a group can take."""
    return sorted({name for name, _ in files(group)})


def options(group: str) -> set[str]:
    """Options that any choice of a group has; of the top level, for an empty name."""
    if not group:
        return {key.partition(".")[0] for key in schema.OPTIONS} - set(GROUPS)
    if group == "checkpoint":
        return set(schema.defaults(group))
    return {key for name in choices(group.split(".")[0]) for key in own_options(group, name)}


def own_options(group: str, choice: str) -> dict[str, Any]:
    """Options of one choice with their defaults; `group` may name a part of it, as backbone.options."""
    axis, *parts = group.split(".")
    content = read(dict(files(axis))[choice])
    # A choice that is a variation of another has that one's options too.
    for base in content.get("defaults", []):
        if base in choices(axis):
            content = {**own_options(axis, base), **content}
    shared = root() / "conf" / f"every_{axis}.yaml"
    if shared.is_file():  # options of all choices
        content = {**read(shared), **content}
    # A data set's file speaks of the top level.
    for part in [axis] * (axis in content) + parts:
        content = content.get(part) or {}
    return _options(content)


def _options(content: dict[str, Any]) -> dict[str, Any]:
    hidden = ("defaults", "hydra", "_target_", "_partial_")
    return {key: value for key, value in content.items() if key not in hidden}


def near_option(name: str, known: Iterable[str]) -> str:
    """The option of a group that has this name, or names close to it, as a phrase for an error message."""
    homes = [f"{group}.{name}" for group in GROUPS if name in options(group)]
    return f"did you mean {homes[0]}?" if homes else near(name, known)


def without_null(override: str) -> str:
    """`sampling=null` as Hydra takes it, which knows no null choice of a group: as a list of none.

    Raises:
        ConfigError: null for a group that has no such default.
    """
    group, equals, value = override.partition("=")
    if not equals or value.lower() != "null" or group.lstrip("+") not in (*GROUPS, "experiments"):
        return override
    if defaults()[group.lstrip("+")] is not None:
        raise OptionError(group, None, problem="no such choice", near=choices(group))
    return f"{group}=[]"


def with_null(override: str) -> str:
    """`sampling=[]` as the user gave it."""
    group, _, value = override.partition("=")
    return f"{group}=null" if value == "[]" and defaults().get(group, group) is None else override


def defaults() -> dict[str, Any]:
    """The choice that each group has by default."""
    entries = read(root() / "conf" / "config.yaml")["defaults"]
    return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}


@cache
def _parse(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{file}: not readable as YAML ({' '.join(str(error).split())}); {_ELSEWHERE}"
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected key: value lines; {_ELSEWHERE}")
    return content


def read(file: Path) -> dict[str, Any]:
    """A YAML file as it stands."""
    return dict(_parse(file))
