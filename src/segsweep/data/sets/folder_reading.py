"""How a folder's masks are read, as values or as colours, and which of these are ignored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsweep.data.labels import ColourLabels, IndexLabels, LabelFormat, ranges
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.folder_classes import ClassRow, parse_colour
from segsweep.data.sets.folder_masks import Code, Tally, code_of, colour_of
from segsweep.data.split import some
from segsweep.errors import DataError, OptionError

TABLE = "classes.csv with the columns name,value for masks of values or name,r,g,b for masks of colours"
VOID = {"void", "ignore", "ignored", "unlabelled", "unlabeled"}
"""Names in a table of classes that stand for ignored pixels, unless `ignore` is given."""


class Reading:
    """How the masks are to be read: as values or as colours."""

    def __init__(self, tally: Tally, rows: Sequence[ClassRow], table: Path | None) -> None:
        """Take what the masks hold, and the lines of the table of classes, none without one."""
        self.tally, self.rows, self.table = tally, rows, table
        given = {code_of(row.colour) for row in rows if row.colour}
        # Palettes that show the table's colours mean them; of others, and without a table, the values count.
        self.by_palette = bool(given) and bool(tally.shown) and set(tally.colours) <= given
        coloured = tally.number("colour", "palette") if self.by_palette else tally.number("colour")
        self.coloured = 2 * coloured > tally.number("grey", "palette", "colour")
        grey = all(code % 0x10101 == 0 for code in tally.colours)
        self.values = not self.coloured or (grey and not given)
        """Whether codes are values: of masks of indices, or of colour images that are grey."""
        codes = tally.colours if self.coloured else tally.values
        self.codes = {code & 255 if self.values else code: seen for code, seen in codes.items()}

    def format(self, meaning: Mapping[Code, int]) -> LabelFormat:
        """Return the format of masks whose codes stand for these classes."""
        if not self.coloured:
            return IndexLabels(meaning)
        colours = {colour_of(c * 0x10101 if self.values else c): to for c, to in meaning.items()}
        return ColourLabels(colours, repair=self.repair)

    @property
    def repair(self) -> str:
        """What to do about a value or colour that stands for no class."""
        table = f"add it to {self.table}" if self.table else f"give {TABLE}, if it is a class"
        return f"correct these pixels (masks are saved without loss and never resized), or {table}"

    def name(self, code: Code) -> str:
        """Return a value, or a colour as #RRGGBB."""
        return str(code) if self.values else f"#{code:06x}"

    def listed(self, codes: Sequence[Code]) -> str:
        """Return a few values or colours in words."""
        if self.values:
            return f"the values {ranges(dict.fromkeys(codes))}"
        return f"the colours {some([self.name(code) for code in codes], 12)}"

    @property
    def binary(self) -> bool:
        """Whether 255 is the foreground of masks that hold nothing but 0 and 255."""
        return self.values and set(self.codes) == {0, IGNORE_INDEX} and len(self.rows) in (0, 2)

    def code(self, row: ClassRow, place: int) -> Code:
        """Return the code of the line of the table at a place.

        Raises:
            DataError: the masks hold colours, and the table has none.
        """
        if not self.values:
            if row.colour is None:
                raise DataError(
                    str(self.table),
                    f"names classes without colours, but the masks hold {self.listed(sorted(self.codes))}",
                    "give each name its colour: a .csv with the columns name,r,g,b",
                )
            return code_of(row.colour)
        if row.value is None and self.binary:
            return (0, IGNORE_INDEX)[place]
        return place if row.value is None else row.value

    def told(self, ignored: set[Code]) -> str:
        """Return in words how masks are read and what is ignored."""
        kind = f"masks read by {'value' if self.values else 'colour'}"
        foreground = ", 255 as the foreground of 0" if self.binary else ""
        void = some([self.name(code) for code in sorted(ignored)]) or "none"
        return f"{kind}{foreground}, {void} ignored"


def ignored_codes(reading: Reading, ignore: Any) -> set[Code]:
    """Return the codes that stand for ignored pixels."""
    if ignore is None:
        named = {reading.code(row, i) for i, row in enumerate(reading.rows) if row.name.casefold() in VOID}
        taken = {reading.code(row, i) for i, row in enumerate(reading.rows)} - named
        free = reading.values and not reading.binary and IGNORE_INDEX not in taken
        return named | ({IGNORE_INDEX} if free else set())
    codes = {row.name: reading.code(row, i) for i, row in enumerate(reading.rows)}
    ignored = set()
    for one in [ignore] if isinstance(ignore, int | str) else list(ignore):
        if isinstance(one, int) and reading.values:
            ignored.add(one)
        elif isinstance(one, str) and not one.startswith("#"):
            if one not in codes:
                raise OptionError("ignore", one, problem="no such class", near=codes)
            ignored.add(codes[one])
        else:
            kind = "values" if reading.values else "colours"
            try:
                colour = code_of(parse_colour(one))
            except (TypeError, ValueError) as error:
                example = "[255]" if reading.values else "['#e0e0c0']"
                raise OptionError("ignore", ignore, f"{kind} of the masks, as {example}") from error
            if reading.values:
                raise OptionError("ignore", ignore, problem=f"the masks hold {kind}", remedy="give these")
            ignored.add(colour)
    return ignored
