"""What a folder of predictions holds, and what each was made from: a line of JSON for each image and frame.

An image is predicted anew if its line is not there, names other work, or an output is gone. `work` is a hash
of all that the output depends on: the input's content, the network, the strategy, the forms of output. A line
is appended and synced after its outputs have got their names, so a killed process leaves at most one half
line, which is ignored. Memory and file grow by some hundred bytes a frame.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segsweep.files import cannot_write, write_bytes

JOURNAL, PLACES = "journal.jsonl", "out=…"


@dataclass(frozen=True, slots=True)
class Entry:
    """The outputs of an image, of a frame, or of a video as a whole.

    Attributes:
        name: of the outputs, as in `Input.name`.
        frame: its number from 0; None for an image, or a video as a whole.
        work: hash of what it was made from.
        size: (H, W) of the image as it was predicted.
        pixels: of each class.
        outputs: files below the folder.
        frames: how many the video has; None for others.
        notes: how the input was understood.
    """

    name: str
    frame: int | None
    work: str
    size: tuple[int, int]
    pixels: tuple[int, ...]
    outputs: tuple[str, ...]
    frames: int | None = None
    notes: tuple[str, ...] = ()


class Journal:
    """The journal of a folder, which one process at a time may write."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / JOURNAL
        self._entries: dict[tuple[str, int | None], Entry] = {}
        lines = self._lines()
        for entry in filter(None, map(_entry, lines)):
            self._entries[entry.name, entry.frame] = entry
        if not lines or len(self._entries) != len(lines):  # none yet, a half line, or several of one image
            write_bytes(self.file, b"".join(map(_line, self._entries.values())), PLACES)

    def _lines(self) -> list[bytes]:
        with suppress(FileNotFoundError):
            return self.file.read_bytes().splitlines()
        return []

    def add(self, entry: Entry) -> None:
        """Append what has been written.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        self._entries[entry.name, entry.frame] = entry
        try:
            with self.file.open("ab") as file:
                file.write(_line(entry))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.file, error, PLACES) from error

    def done(self, name: str, frame: int | None, work: str) -> Entry | None:
        """Return the entry of an image or frame if it is of this work and its outputs are all there."""
        entry = self._entries.get((name, frame))
        if entry is None or entry.work != work:
            return None
        return entry if all((self.folder / file).is_file() for file in entry.outputs) else None


def hash_of(*parts: Any) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _line(entry: Entry) -> bytes:
    return json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"


def _entry(line: bytes) -> Entry | None:
    """Return the entry of a line; None if it is damaged, so that its image is predicted again."""
    try:
        plain = json.loads(line)
        lists: Iterable[str] = ("size", "pixels", "outputs", "notes")
        return Entry(**{**plain, **{key: tuple(plain[key]) for key in lists}})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
