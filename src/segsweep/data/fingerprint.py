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
from segsweep.files import digest

SAMPLED = 8
"""Files of each kind (images, labels) of a split whose content counts too, spread evenly over it."""


def fingerprint(data: SegmentationData) -> str:
    """The first 16 hex digits of a SHA-256 over what a run trains and validates on.

    Sizes notice a changed file unless its length stays the same and it is not among the sampled ones.

    Raises:
        DataError: a list or a file is missing or cannot be read.
    """
    found = hashlib.sha256()
    for name in (data.train_split, data.val_split):
        for part in _parts(data.split(name)):
            found.update(json.dumps([part.ids.tolist(), list(_contents(part))]).encode())
    return found.hexdigest()[:16]


def _parts(split: SplitDataset) -> Iterator[SplitDataset]:
    if isinstance(split, JoinedSplit):
        for part in split.parts:
            yield from _parts(part)
    else:
        yield split


def _contents(split: SplitDataset) -> Iterator[str | list[int]]:
    """For each kind of file the sizes in bytes, then hashes of the sampled ones."""
    for source in split.sources():
        if isinstance(source, str):
            yield source
            continue
        try:
            yield [Path(file).stat().st_size for file in source]
            yield from (digest(Path(file)) for file in _spread(source))
        except OSError as error:
            split.check()  # which names what is missing and where it is listed
            raise DataError(error.filename, f"cannot be read ({error.strerror})") from error


def _spread(files: Sequence[str]) -> list[str]:
    """As many files as are sampled, the first and the last among them."""
    count, last = min(SAMPLED, len(files)), len(files) - 1
    return [files[round(number * last / max(1, count - 1))] for number in range(count)]
