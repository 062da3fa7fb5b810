"""An experiment's file: what it sets, and the paper's table that it repeats.

Hydra merges an experiment with everything else; what it set must be known, for it wins over a chain's stages.

An experiment that repeats a table keeps it under the key `published`: what was measured, and a row for each
printed one. A row names its `run`, the overrides that train it, and its `test`; the sweep's members are
these. A row that is `quoted` as well has figures from elsewhere, measured by another protocol: it is a system
that the paper compares with, and a member only if `hydra.sweeper.systems` is set. A row without a run is
quoted too. The key is no part of a run's configuration.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, near
from segsweep.planning.stages import flatten

KEY = "published"
NO_SETTINGS = ("defaults", "hydra", "stages", KEY)
FIGURES = ("miou", "val_miou", "test_miou", "params", "gflops", "fps", "time_ms")
"""mIoU in %, parameters in millions, multiply-accumulates in G, frames a second, milliseconds."""
OWN = ("run", "test", "note", "quoted")


def experiment_settings(name: str | None) -> list[tuple[str, Any]]:
    """Return the options and groups that an experiment and its parts set, with their values."""
    settings: list[tuple[str, Any]] = []
    for content in contents(name, []) if name else ():
        chosen = [entry for entry in content.get("defaults", []) if isinstance(entry, dict)]
        settings += [
            (g.removeprefix("override ").strip("/ "), c) for entry in chosen for g, c in entry.items()
        ]
        settings += flatten({key: value for key, value in content.items() if key not in NO_SETTINGS})
    return settings


def published_table(name: str) -> Any:
    """Return the table that an experiment, or the one it is a variation of, repeats; None without one."""
    return next((c[KEY] for c in reversed(list(contents(name, []))) if KEY in c), None)


def contents(name: str, beside: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the parts that an experiment's file names, looked for `beside` it first, then the file itself."""
    places = [*beside, *(folder / "experiments" for folder in config_files.folders())]
    file = next((path for place in places if (path := place / f"{name}.yaml").is_file()), None)
    if file is not None:
        content = config_files.read(file)
        for entry in content.get("defaults", []):
            if isinstance(entry, str) and entry != "_self_":
                yield from contents(entry.removeprefix("/experiments/"), [file.parent])
        yield content


@dataclass(frozen=True)
class Published:
    """A printed table.

    title: paper and table. data: the images it was measured on, in words. protocol: the same as fields of
    a test's protocol card. measured: which figure our tests repeat. input: (height, width) at which
    multiply-accumulates are counted, unless a row has its own. selected: how the paper chose the epoch of its
    figures, in words that follow "Published figures are", if that is known.
    """

    title: str
    data: str
    protocol: Mapping[str, Any]
    input: Sequence[int]
    rows: Sequence[Mapping[str, Any]]
    measured: str = "miou"
    selected: str | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> "Published":
        """Read the table of an experiment's `published`.

        Raises:
            ConfigError: a field is missing or unknown, or a row names a run without its test.
        """
        fields = cls.__dataclass_fields__
        for key in node:
            if key not in fields:
                raise ConfigError(f"{KEY}.{key}: no such field; {near(str(key), fields)}")
        missing = fields.keys() - node.keys() - {"measured", "selected"}
        if missing:
            raise ConfigError(
                f"{KEY}: {' and '.join(sorted(missing))} missing; see experiments/ksac/table2.yaml"
            )
        for number, row in enumerate(node["rows"], 1):
            if ("run" in row) != ("test" in row):
                raise ConfigError(
                    f"{KEY}.rows: row {number} has only one of run and test; expected both or none"
                )
        return cls(**node)

    def members(self, systems: bool) -> list[str]:
        """Return the distinct runs as overrides, each with the tests of all rows that it stands behind.

        Args:
            systems: those of quoted rows too.
        """
        tests: dict[str, list[str]] = {}
        for row in self.rows:
            if "run" in row and (systems or not quoted(row)):
                tests.setdefault(" ".join(row["run"].split()), []).append(row["test"])
        return [f"{run} test=[{','.join(dict.fromkeys(names))}]" for run, names in tests.items()]

    def member(self, row: Mapping[str, Any]) -> str | None:
        """Return the one of all `members` that stands behind a row; None if the row has no run."""
        if "run" not in row:
            return None
        return next(m for m in self.members(systems=True) if m.split()[:-1] == row["run"].split())

    def columns(self) -> list[str]:
        """Return the keys that tell the printed rows apart, in order of first mention."""
        keys = dict.fromkeys(key for row in self.rows for key in row)
        return [key for key in keys if key not in (*FIGURES, *OWN)]

    def figures(self) -> list[str]:
        """Return the figures that some row gives, in the order of `FIGURES`."""
        return [key for key in FIGURES if any(key in row for row in self.rows)]


def quoted(row: Mapping[str, Any]) -> bool:
    """Return whether a printed row's figures are from elsewhere, measured by another protocol."""
    return bool(row.get("quoted", "run" not in row))
