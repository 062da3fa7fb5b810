"""SHA256SUMS: the checksums of a folder's checkpoints, in the format of `sha256sum -c`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segsweep.files import write_bytes
from segsweep.runs.layout import SUMS

Sums = Mapping[str, Sequence[str]]
"""Checksums by file name, the newest first; a file that is being replaced has two."""


def read_sums(folder: Path) -> dict[str, list[str]]:
    """Return the listed checksums; empty if the list is missing or not text."""
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
    """Write the list atomically."""
    lines = [f"{listed}  {name}\n" for name, digests in sorted(sums.items()) for listed in digests]
    write_bytes(folder / SUMS, "".join(lines).encode())


def is_misprint(listed: str, found: str) -> bool:
    """Return whether a listed checksum is a damaged copy of a file's own, not that of other content.

    Checksums of different files agree in a sixteenth of their 64 digits by chance; a few damaged bits leave
    most digits intact, or something that is not a checksum.
    """
    if re.fullmatch("[0-9a-f]{64}", listed) is None:
        return True
    return sum(a != b for a, b in zip(listed, found, strict=True)) <= 8
