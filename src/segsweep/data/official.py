"""What a data set's makers fix: how many images a split holds, where the files are had, what is handed in.

Facts only; what compares files with them (`data check`) or writes by them (submissions) lives elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class OfficialSplit:
    """A split of the official release."""

    count: int
    ids: str | None = None
    """`ids_hash` of its sample ids; None where only the number is known."""


@dataclass(frozen=True)
class Submission:
    """What a benchmark takes: one PNG an image in an archive."""

    archive: str
    """`tar` or `zip`; empty for a folder."""
    member: str
    """Name of an image's file in the archive, with `{id}` for the sample's id."""
    values: Mapping[int, int]
    """The value that is stored for each class index."""
    palette: bool = False
    """Whether the PNGs carry the data set's palette; grey otherwise."""
    size: tuple[int, int] | None = None
    """(H, W) of every file; None for each image's own."""
    server: str = ""
    """Where it is handed in."""


def ids_hash(ids: Sequence[str] | NDArray[Any]) -> str:
    """A set of ids whatever its order: 16 hex digits of the SHA-256 of the sorted ids, one a line."""
    return sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()[:16]
