"""The configuration's files: those shipped with segsweep, and the user's own."""

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
    """Return the folder that holds conf/ and experiments/: the package if installed, else the checkout."""
    return PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parents[1]


def own_folder() -> Path | None:
    """Return the user's configuration folder, $SEGSWEEP_CONF or conf/ in the working folder, or None."""
    own = Path(os.environ.get("SEGSWEEP_CONF", "conf")).resolve()
    return own if own.is_dir() and own != (root() / "conf").resolve() else None


def folders() -> list[Path]:
    """Return all folders that are searched, in order."""
    return [folder for folder in (root() / "conf", own_folder(), root()) if folder is not None]


def files(group: str) -> Iterator[tuple[str, Path]]:
    """Yield the choices of a group with their files; the user's own cannot replace a shipped one."""
    seen: set[str] = set()
    for folder in folders():
        for file in sorted((folder / group).rglob("*.yaml")):
            name = file.relative_to(folder / group).with_suffix("").as_posix()
            # experiments/ also holds shared parts, whose names begin with an underscore, and other data.
            is_choice = group != "experiments" or (not file.name.startswith("_") and is_global(file))
            if name not in seen and is_choice:
                seen.add(name)
                yield name, file


def is_global(file: Path) -> bool:
    """Return whether a file begins with the line that tells Hydra that it sets top-level options."""
    return file.read_text().startswith(GLOBAL)


def choices(group: str) -> list[str]:
    """Return the sorted names of a group's choices."""
    return sorted({name for name, _ in files(group)})


def options(group: str) -> set[str]:
    """Return the options of all choices of a group, or those of the top level for an empty name."""
    if not group:
        return {key.partition(".")[0] for key in schema.OPTIONS} - set(GROUPS)
    if group == "checkpoint":
        return set(schema.defaults(group))
    return {key for name in choices(group.split(".")[0]) for key in own_options(group, name)}


def own_options(group: str, choice: str) -> dict[str, Any]:
    """Return the options of one choice with their defaults; `group` may name a part, as backbone.options."""
    axis, *parts = group.split(".")
    content = read(dict(files(axis))[choice])
    # A choice that varies another one has that one's options too.
    for base in content.get("defaults", []):
        if base in choices(axis):
            content = {**own_options(axis, base), **content}
    shared = root() / "conf" / f"every_{axis}.yaml"
    if shared.is_file():  # options of all choices
        content = {**read(shared), **content}
    # A dataset's file sets top-level options.
    for part in [axis] * (axis in content) + parts:
        content = content.get(part) or {}
    hidden = ("defaults", "hydra", "_target_", "_partial_")
    return {key: value for key, value in content.items() if key not in hidden}


def near_option(name: str, known: Iterable[str]) -> str:
    """Suggest a group's option of this name, or similar names, as a phrase for an error message."""
    homes = [f"{group}.{name}" for group in GROUPS if name in options(group)]
    return f"did you mean {homes[0]}?" if homes else near(name, known)


def without_null(override: str) -> str:
    """Rewrite `sampling=null` as `sampling=[]`, because Hydra accepts no null for a group.

    Raises:
        ConfigError: the group's default is not null.
    """
    group, equals, value = override.partition("=")
    if not equals or value.lower() != "null" or group.lstrip("+") not in (*GROUPS, "experiments"):
        return override
    if defaults()[group.lstrip("+")] is not None:
        raise OptionError(group, None, problem="no such choice", near=choices(group))
    return f"{group}=[]"


def with_null(override: str) -> str:
    """Undo `without_null`: return the override as the user gave it."""
    group, _, value = override.partition("=")
    return f"{group}=null" if value == "[]" and defaults().get(group, group) is None else override


def defaults() -> dict[str, Any]:
    """Return the default choice of each group."""
    entries = read(root() / "conf" / "config.yaml")["defaults"]
    return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}


@cache
def _parse(file: Path) -> dict[str, Any]:
    try:
        # The C library's loader takes a tenth of the time, and each run reads all shipped files (trust.py).
        content = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{file}: not readable as YAML ({' '.join(str(error).split())}); {_ELSEWHERE}"
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected key: value lines; {_ELSEWHERE}")
    return content


def read(file: Path) -> dict[str, Any]:
    """Return the content of a YAML file."""
    return dict(_parse(file))
