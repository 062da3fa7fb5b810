"""The table of a folder's classes, as people keep it: text, CSV or YAML."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from segsweep.data.labels import Colour
from segsweep.data.listing import read_text
from segsweep.errors import DataError, near

FILES = ("classes.csv", "classes.txt", "classes.yaml", "classes.yml", "class_dict.csv", "label_colors.txt")
"""Names by which a table is found in the root."""
COLUMNS = {
    "name": ("name", "class", "class_name", "label"),
    "value": ("value", "index", "id"),
    "colour": ("colour", "color", "rgb"),
    "r": ("r", "red"), "g": ("g", "green"), "b": ("b", "blue"),
}  # fmt: skip
"""What a CSV's columns, or the keys of YAML's mappings, may be called."""
EXPECTED = (
    "expected a class a line in a .txt (NAME, VALUE NAME, or R G B NAME), a .csv with the columns name and, "
    "if wanted, value and r,g,b, or a .yaml with a list of names"
)
COLOURED = re.compile(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)")
NUMBERED = re.compile(r"(\d+)\s*[:,\s]\s*(\S.*)")


class ClassRow(NamedTuple):
    """A line of the table."""

    name: str
    value: int | None = None  # in masks of indices; None: its place in the table
    colour: Colour | None = None  # in masks of colours


def table_in(root: Path) -> Path | None:
    """Return the table in a folder, if there is one."""
    return next((root / name for name in FILES if (root / name).is_file()), None)


def read_classes(file: Path) -> list[ClassRow]:
    """Return the lines of a table.

    Raises:
        DataError: the file cannot be read, is no table, or has a name, value or colour twice.
    """
    text = read_text(file, EXPECTED)
    readers = {".csv": _of_csv, ".yaml": _of_yaml, ".yml": _of_yaml, ".txt": _of_text}
    if file.suffix.lower() not in readers:
        raise DataError(file, f"a table of classes in a file {file.suffix or 'without suffix'}", EXPECTED)
    try:
        rows = readers[file.suffix.lower()](text)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise DataError(file, f"no table of classes ({' '.join(str(error).split())})", EXPECTED) from error
    if not rows:
        raise DataError(file, "names no class", EXPECTED)
    for what in ("name", "value", "colour"):
        held = [value for row in rows if (value := getattr(row, what)) is not None]
        twice = [value for value in held if held.count(value) > 1]
        if twice:
            raise DataError(file, f"has the {what} {twice[0]} twice", "give each class its own")
        if held and len(held) < len(rows):
            lacking = next(row.name for row in rows if getattr(row, what) is None)
            raise DataError(
                file, f"has no {what} for {lacking}", f"give one to each class, or to none (of {what})"
            )
    return rows


def _of_text(text: str) -> list[ClassRow]:
    rows = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        coloured, numbered = COLOURED.fullmatch(line), NUMBERED.fullmatch(line)
        if coloured:
            rows.append(ClassRow(coloured[4], colour=parse_colour(coloured.groups()[:3])))
        else:
            rows.append(ClassRow(numbered[2], _value(numbered[1])) if numbered else ClassRow(line))
    return rows


def _of_csv(text: str) -> list[ClassRow]:
    return [_of_mapping(row) for row in read_csv(text)]


def read_csv(text: str) -> list[dict[str, str]]:
    """Return the lines of a CSV with a header, separated by commas, semicolons or tabs."""
    lines = text.strip().splitlines()
    delimiter = next((sign for sign in "\t;" if lines and sign in lines[0]), ",")
    return list(csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True))


def _of_yaml(text: str) -> list[ClassRow]:
    """Read a list, or a mapping, of names; with a key `names` or `classes`, what that holds.

    A mapping is from value to name, or from name to value, colour or a mapping of both.
    """
    content = yaml.safe_load(text)
    if isinstance(content, dict):
        content = content.get("names", content.get("classes", content))
    if isinstance(content, list):
        return [_of_mapping(one) if isinstance(one, dict) else ClassRow(str(one)) for one in content]
    rows = []
    for key, one in dict(content or {}).items():
        if isinstance(one, dict):
            rows.append(_of_mapping({"name": key, **one}))
        elif isinstance(key, int):
            rows.append(ClassRow(str(one), _value(key)))
        else:
            rows.append(_of_mapping({"name": key, "value" if isinstance(one, int) else "colour": one}))
    return rows


def _of_mapping(given: Mapping[Any, Any]) -> ClassRow:
    """Return the line that a mapping from column to cell describes."""
    cells = {str(key).strip().casefold(): value for key, value in given.items() if value not in (None, "")}
    found = {
        column: cells[name] for column, names in COLUMNS.items() for name in reversed(names) if name in cells
    }
    if "name" not in found:
        raise ValueError(f"no column called name; {near('name', map(str, given))}")
    channels = [found[channel] for channel in "rgb" if channel in found]
    colour = found.get("colour", channels or None)
    value = found.get("value")
    return ClassRow(
        str(found["name"]).strip(),
        None if value is None else _value(value),
        None if colour is None else parse_colour(colour),
    )


def _value(given: Any) -> int:
    value = int(str(given))
    if not 0 <= value <= 255:
        raise ValueError(f"value {given}, which is not 0 to 255")
    return value


def parse_colour(given: Any) -> Colour:
    """Return a colour (RGB) given as #RRGGBB, `R G B` or three numbers; raise ValueError if it is none."""
    if isinstance(given, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", given.strip()):
        given = list(bytes.fromhex(given.strip()[1:]))
    parts = re.split(r"[\s,]+", given.strip("()[] ")) if isinstance(given, str) else list(given)
    channels = [int(str(part)) for part in parts]
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise ValueError(f"colour {given}, which is not #RRGGBB or three numbers of 0 to 255")
    return channels[0], channels[1], channels[2]
