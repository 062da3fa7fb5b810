"""What a dataset holds, as a hash: other images or labels make another one, another folder does not.

Made to be cheap: the lists of the splits, the size of every file (a stat each), and the content of a few.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from segsweep.data.module import SegmentationData
from segsweep.data.split import JoinedSplit, SplitDataset
from segsweep.errors import DataError

SAMPLED = 8
"""Files of each kind (images, labels) of a split whose content counts too, spread evenly over it."""


def fingerprint(data: SegmentationData) -> str:
    """The first 16 hex digits of a SHA-256 over what a run trains and validates on.

    Sizes notice a changed file unless its length stays the same and it is not among the sampled ones.

    Raises:
        DataError: a list or a file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for name in (data.train_split, data.val_split):
        for part in _parts(data.split(name)):
            digest.update(json.dumps([part.ids.tolist(), list(_contents(part))]).encode())
    return digest.hexdigest()[:16]


def _parts(split: SplitDataset) -> Iterator[SplitDataset]:
    for part in split.parts if isinstance(split, JoinedSplit) else ():
        yield from _parts(part)
    if not isinstance(split, JoinedSplit):
        yield split


def _contents(split: SplitDataset) -> Iterator[str | list[int]]:
    """For each kind of file the sizes in bytes, then hashes of the sampled ones."""
    for source in split.sources():
        if isinstance(source, str):
            yield source
            continue
        try:
            yield [Path(file).stat().st_size for file in source]
            yield from map(_hash, _spread(source))
        except OSError as error:
            split.check()  # which names what is missing and where it is listed
            raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _spread(files: Sequence[str]) -> list[str]:
    """As many files as are sampled, the first and the last among them."""
    count, last = min(SAMPLED, len(files)), len(files) - 1
    return [files[round(number * last / max(1, count - 1))] for number in range(count)]


def _hash(file: str) -> str:
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
