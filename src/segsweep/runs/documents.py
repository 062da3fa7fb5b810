"""Small files, which are written whole or not at all."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from segsweep.errors import DamagedFileError
from segsweep.files import write_bytes


def write_text(path: Path, text: str) -> None:
    """Write beside the target, sync, rename.

    Raises:
        UserError: if the folder cannot be written or the disk is full; an older file is unchanged.
    """
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Return JSON for a file; file names that are not valid text are escaped."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def yaml_text(content: Mapping[str, Any]) -> str:
    """Return YAML of plain values as OmegaConf writes it; the text of each part is cached."""
    parts = [(repr((key, value)), {key: value}) for key, value in content.items()]
    for name, part in parts:
        if name not in _written:
            _written[name] = yaml.dump(
                part, Dumper=_dumper(), default_flow_style=False, allow_unicode=True, sort_keys=False
            )
    return "".join(_written[name] for name, _ in parts)


_written: dict[str, str] = {}  # members of a sweep share most parts of their configurations


@cache
def _dumper() -> type[yaml.SafeDumper]:
    from omegaconf._utils import OmegaConfDumper  # a listing of runs does not need it

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True  # a list that two options share is written twice

    Dumper.add_representer(str, OmegaConfDumper.str_representer)  # quotes what would be read as a number
    return Dumper


MOST_NESTED = 100  # levels of a configuration; shipped ones have 4


def read_yaml(path: Path, repair: str) -> Any:
    """Read YAML; None if there is no such file.

    `repair` says what to do about a damaged one.

    Raises:
        DamagedFileError: if it is not YAML.
    """
    try:
        text = path.read_text("utf-8")
        _check_depth(text)
        return yaml.load(text, Loader=_loader())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DamagedFileError(path, f"damaged ({' '.join(str(error).split())})", repair) from error


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_depth(text: str) -> None:
    """Raise ValueError for deeply nested YAML, on which libyaml overflows the stack (Python 3.12)."""
    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_NESTED:
            raise ValueError(f"nested more than {MOST_NESTED} deep")


def read_json(path: Path, repair: str) -> Any:
    """Read JSON; None if there is no such file.

    `repair` says what to do about a damaged one.

    Raises:
        DamagedFileError: if it is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, "damaged (no JSON)", repair) from error
    except OSError as error:
        raise DamagedFileError(path, f"cannot be read ({error.strerror})", repair) from error
