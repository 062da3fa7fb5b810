"""What the papers print for a network, from experiments/counted.yaml.

Each row of that file is a table's row: the configuration that repeats it, the input size, what a faithful
build counts, what is published, and why the two differ where they do.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files
from segsweep.runs.identity import canonical

# The file's figures are rounded. Another rate, width or stride changes one of them by more than this.
ROUNDING = 0.005

Row = Mapping[str, Any]


def find(values: Mapping[str, Any], figures: Mapping[str, float], size: Sequence[int]) -> Row | None:
    """The published row of a network; of several, the one that says most of it.

    A row is the network's where all entries of its `config` are among `values` (dotted keys, groups by
    their choice), the input sizes are equal and the network counts what the row counts: an option that the
    row does not mention, such as `head.width`, may make it another network.
    """
    rows = [row for row in _read(_file()) if _agrees(row, values, size) and _counts(row, figures)]
    return max(rows, key=lambda row: len(row["config"]), default=None)


def beside(row: Row | None, figures: Mapping[str, float]) -> dict[str, Any]:
    """A row's published figures, and by how many percent the measured ones differ from them."""
    row = row or {}
    columns: dict[str, Any] = {"published": row.get("name")}
    for key, name in (("params_m", "published_params_m"), ("gmacs", "published_gflops")):
        value = row.get(name)
        columns[name] = value
        columns[f"{name.split('_')[1]}_off_percent"] = 100 * (figures[key] / value - 1) if value else None
    return {**columns, "discrepancy": row.get("discrepancy")}


def _agrees(row: Row, values: Mapping[str, Any], size: Sequence[int]) -> bool:
    missing = object()
    same = all(
        canonical(values.get(key, missing)) == canonical(value) for key, value in row["config"].items()
    )
    return same and row.get("size") in (None, list(size))


def _counts(row: Row, figures: Mapping[str, float]) -> bool:
    counted = [(row.get(key), figures[key]) for key in ("params_m", "gmacs")]
    return all(abs(measured / told - 1) < ROUNDING for told, measured in counted if told)


def _file() -> Path:
    return config_files.root() / "experiments" / "counted.yaml"


@cache
def _read(file: Path) -> list[Row]:
    import yaml

    rows: list[Row] = yaml.safe_load(file.read_text())["rows"]
    return rows
