"""What an experiment sets, as its files say it.

Hydra merges an experiment with everything else; what it set must be known, for it wins over a chain's stages.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files
from segsweep.planning.paper_table import KEY
from segsweep.planning.stages import flatten

NO_SETTINGS = ("defaults", "hydra", "stages", KEY)


def experiment_settings(name: str | None) -> list[tuple[str, Any]]:
    """The options and groups that an experiment sets, in parts that it shares too, with their values."""
    settings: list[tuple[str, Any]] = []
    for content in _contents(name, []) if name else ():
        chosen = [entry for entry in content.get("defaults", []) if isinstance(entry, dict)]
        settings += [
            (g.removeprefix("override ").strip("/ "), c) for entry in chosen for g, c in entry.items()
        ]
        settings += flatten({key: value for key, value in content.items() if key not in NO_SETTINGS})
    return settings


def published_table(name: str) -> Any:
    """The table that an experiment repeats, itself or as a variation of another; None if there is none."""
    return next((c[KEY] for c in reversed(list(_contents(name, []))) if KEY in c), None)


def _contents(name: str, beside: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The parts that an experiment's file names, looked for `beside` it first, then the file itself."""
    places = [*beside, *(folder / "experiments" for folder in config_files.folders())]
    file = next((path for place in places if (path := place / f"{name}.yaml").is_file()), None)
    if file is not None:
        content = config_files.read(file)
        for entry in content.get("defaults", []):
            if isinstance(entry, str) and entry != "_self_":
                yield from _contents(entry.removeprefix("/experiments/"), [file.parent])
        yield content
