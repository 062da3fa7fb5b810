"""Which class each value or colour of a folder's masks stands for: as a table says, or as found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from segsweep.data.labels import LabelFormat, Palette, standard_palette
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.folder_classes import ClassRow
from segsweep.data.sets.folder_masks import MOST, Code, Seen, Tally, colour_of
from segsweep.data.sets.folder_reading import TABLE, Reading, ignored_codes
from segsweep.errors import DataError

SHOWN = 20
"""The largest number of classes for which a command is shown."""


@dataclass
class Classes:
    """The classes of a folder, and how its masks are read."""

    names: tuple[str, ...]
    palette: Palette
    format: LabelFormat
    notes: list[str] = field(default_factory=list)
    wrong: list[DataError] = field(default_factory=list)
    """Masks that hold something else, one error for each value or colour."""


def find_classes(
    tally: Tally, rows: Sequence[ClassRow], table: Path | None, ignore: Any, number: int | None, root: Path
) -> Classes:
    """Return the classes of masks.

    Args:
        tally: what the masks hold.
        rows: the table of classes; empty without one.
        table: its file.
        ignore: values, colours or names to ignore; None for 255 and what the table calls void.
        number: the number of classes, if it is given.
        root: the folder, for messages.

    Raises:
        ConfigError: an option contradicts the masks.
        DataError: the masks cannot be understood.
    """
    reading = Reading(tally, rows, table)
    ignored = ignored_codes(reading, ignore)
    found = _by_table(reading, ignored) if rows else _by_masks(reading, ignored, number, root)
    if not 1 <= len(found.names) <= MOST:
        what = f"{len(found.names)} classes besides what is ignored"
        raise DataError(table or root, what, f"expected 1 to {MOST}; see dataset.ignore, or give {TABLE}")
    found.wrong += _other_kinds(reading)
    return found


def _by_table(reading: Reading, ignored: set[Code]) -> Classes:
    codes = [(row, reading.code(row, place)) for place, row in enumerate(reading.rows)]
    classes = [(row, code) for row, code in codes if code not in ignored]
    meaning = {code: index for index, (_, code) in enumerate(classes)} | dict.fromkeys(ignored, IGNORE_INDEX)
    standard = standard_palette(len(classes))
    shown = reading.tally.shown
    palette = [
        row.colour or (colour_of(shown[code]) if code in shown else standard[index])
        for index, (row, code) in enumerate(classes)
    ]
    found = Classes(tuple(row.name for row, _ in classes), palette, reading.format(meaning))
    found.notes.append(f"{len(classes)} classes by {reading.table}, {reading.told(ignored)}")
    found.wrong += [
        _foreign(reading, code, seen) for code, seen in reading.codes.items() if code not in meaning
    ]
    return found


def _by_masks(reading: Reading, ignored: set[Code], number: int | None, root: Path) -> Classes:
    stray = (
        {} if number else {c: seen for c, seen in reading.codes.items() if seen.stray and c not in ignored}
    )
    held = sorted(code for code in reading.codes if code not in ignored and code not in stray)
    if not held:
        raise DataError(
            root, "the masks hold no class, only ignored pixels", f"see dataset.ignore, or give {TABLE}"
        )
    codes = list(held)
    if reading.values and not reading.binary:
        codes = list(range(number or held[-1] + 1))
        if not number and len(codes) > 2 * len(held):
            raise DataError(
                root,
                f"the masks hold {reading.listed(held)}, which are no class indices from 0 on",
                f"give {TABLE}, or num_classes",
            )
    names, palette = _called(reading, codes)
    meaning = {code: index for index, code in enumerate(codes)} | dict.fromkeys(ignored, IGNORE_INDEX)
    found = Classes(names, palette, reading.format(meaning))
    found.notes.append(f"{len(codes)} classes found, {reading.told(ignored)}")
    if len(codes) <= SHOWN:
        found.notes.append(f"to name them, change the names in: {_command(reading, names, codes, root)}")
    empty = [code for code in codes if code not in reading.codes]
    if empty:
        found.notes.append(f"no mask holds {reading.listed(empty)}: the classes are counted from 0 on")
    found.wrong += [
        _foreign(reading, code, seen) for code, seen in reading.codes.items() if code not in meaning
    ]
    if reading.tally.clash and not reading.coloured:
        what = "its palette shows a value in another colour than the masks before it"
        remedy = f"if the colours count, give {TABLE}; if the values do, the number of classes (num_classes)"
        found.wrong += [] if number else [DataError(reading.tally.clash, what, remedy)]
    return found


def _called(reading: Reading, codes: Sequence[Code]) -> tuple[tuple[str, ...], Palette]:
    """Return names and colours for classes without a table."""
    if not reading.values:
        return tuple(map(reading.name, codes)), [colour_of(code) for code in codes]
    names = tuple(f"class {code}" for code in codes)
    shown = [reading.tally.shown.get(code) for code in codes]
    palette = standard_palette(len(codes))
    if None not in shown and len(set(shown)) == len(shown) and not reading.tally.clash:
        palette = tuple(colour_of(code) for code in shown if code is not None)
    return ("background", "foreground") if reading.binary else names, palette


def _command(reading: Reading, names: Sequence[str], codes: Sequence[Code], root: Path) -> str:
    """Return a command that writes a table of these classes."""
    cells = [(code,) if reading.values else colour_of(code) for code in codes]
    lines = [f"{name},{','.join(map(str, cell))}" for name, cell in zip(names, cells, strict=True)]
    header = "name,value" if reading.values else "name,r,g,b"
    text = "".join(f"{line}\\n" for line in [header, *lines])
    return f"printf {quote(text)} > {quote(str(root / 'classes.csv'))}"


def _foreign(reading: Reading, code: Code, seen: Seen) -> DataError:
    """Return the error of a value or colour that stands for no class."""
    what = f"{'value' if reading.values else 'colour'} {reading.name(code)}"
    return DataError(
        seen.file,
        f"{what} stands for no class ({seen.pixels} pixels in {seen.files} masks)",
        reading.repair,
    )


def _other_kinds(reading: Reading) -> list[DataError]:
    """Return an error for masks of another kind than most, naming the first."""
    tally = reading.tally
    as_colours = ("colour", "palette") if reading.by_palette else ("colour",)
    kinds = [kind for kind in tally.kinds if (kind in as_colours) != reading.coloured]
    most, other = ("colours", "values") if reading.coloured else ("values", "colours")
    return [
        DataError(
            tally.kinds[kind][1],
            f"mask of {other}, as {tally.kinds[kind][0]} are, while the others are of {most}",
            f"convert it to {most}",
        )
        for kind in kinds
    ]
