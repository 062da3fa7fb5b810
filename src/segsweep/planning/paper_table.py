"""A paper's table inside an experiment: what is printed there, and which runs repeat it.

An experiment that repeats a table keeps it under the key `published`: what was measured, and a row for
each printed one. A row that the paper measured itself names its `run`, the overrides that train it, and
its `test`; the sweep's members are these. The key is no part of a run's configuration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsweep.errors import ConfigError, near

KEY = "published"
FIGURES = ("miou", "val_miou", "test_miou", "params", "gflops", "fps", "time_ms")
"""mIoU in %, parameters in millions, multiply-accumulates in G, frames a second, milliseconds."""
OWN = ("run", "test", "note")


@dataclass(frozen=True)
class Published:
    """A printed table.

    title: paper and table. data: the images it was measured on, in words. protocol: the same as fields of
    a test's protocol card, and `weights` (last or best). measured: which figure our tests repeat. input:
    (height, width) at which multiply-accumulates are counted. unlike: for a test that is not what the paper
    did, what the paper did, in words.
    """

    title: str
    data: str
    protocol: Mapping[str, Any]
    input: Sequence[int]
    rows: Sequence[Mapping[str, Any]]
    measured: str = "miou"
    unlike: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> "Published":
        """The table of an experiment's `published`.

        Raises:
            ConfigError: a field is missing or unknown, or a row names a run without its test.
        """
        fields = cls.__dataclass_fields__
        for key in node:
            if key not in fields:
                raise ConfigError(f"{KEY}.{key}: no such field; {near(str(key), fields)}")
        missing = fields.keys() - node.keys() - {"measured", "unlike"}
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

    def members(self) -> list[str]:
        """The distinct runs as overrides, each with the tests of all rows that it is behind."""
        tests: dict[str, list[str]] = {}
        for row in self.rows:
            if "run" in row:
                tests.setdefault(row["run"], []).append(row["test"])
        return [_overrides(run, names) for run, names in tests.items()]

    def member(self, row: Mapping[str, Any]) -> str | None:
        """The one of `members` that is behind a row; None where the paper quotes it."""
        if "run" not in row:
            return None
        return next(m for m in self.members() if m.split()[:-1] == row["run"].split())

    def columns(self) -> list[str]:
        """What tells the rows apart as printed, in order of first mention."""
        keys = dict.fromkeys(key for row in self.rows for key in row)
        return [key for key in keys if key not in (*FIGURES, *OWN)]

    def figures(self) -> list[str]:
        """The figures that a row gives, in the order of `FIGURES`."""
        return [key for key in FIGURES if any(key in row for row in self.rows)]


def _overrides(run: str, tests: Sequence[str]) -> str:
    return " ".join([*run.split(), f"test=[{','.join(dict.fromkeys(tests))}]"])
