"""SHA256SUMS: what each checkpoint of a folder was when it was written, as `sha256sum -c` reads it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segsweep.files import write_bytes
from segsweep.runs.layout import SUMS

Sums = Mapping[str, Sequence[str]]
"""Listed sums by file name, the newest first: while a file is being replaced it has two."""


def read_sums(folder: Path) -> dict[str, list[str]]:
    """Return the listed sums; none if there is no list, or it is not text."""
    sums: dict[str, list[str]] = {}
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return sums
    for line in lines:
        listed, _, name = line.partition("  ")
        sums.setdefault(name, []).append(listed)
    return sums


def write_sums(folder: Path, sums: Sums) -> None:
    """Write the list, whole or not at all."""
    lines = [f"{listed}  {name}\n" for name, digests in sorted(sums.items()) for listed in digests]
    write_bytes(folder / SUMS, "".join(lines).encode())


def is_misprint(listed: str, found: str) -> bool:
    """Whether a listed sum is a damaged copy of a file's, and not the sum of another file.

    Sums of different files have a sixteenth of their 64 digits in common by chance; damage of a few bits
    leaves most of them, or something that is not a sum.
    """
    if re.fullmatch("[0-9a-f]{64}", listed) is None:
        return True
    return sum(a != b for a, b in zip(listed, found, strict=True)) <= 8
