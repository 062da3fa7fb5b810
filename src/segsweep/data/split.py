"""A split of a dataset: an ordered list of samples, read by index.

Names are numpy string arrays: reference counts of a Python list would have every loader process copy its
pages.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsweep.data.labels import LabelFormat
from segsweep.data.sample import IGNORE_INDEX, Sample, check_sizes, read_image
from segsweep.errors import DataError

_collected: ContextVar[list[DataError] | None] = ContextVar("collected faults", default=None)


def fault(error: DataError) -> None:
    """Raise an error about a split as a whole or, within `faults_collected`, collect it."""
    faults = _collected.get()
    if faults is None:
        raise error
    faults.append(error)


@contextmanager
def faults_collected() -> Iterator[list[DataError]]:
    """Collect faults that leave something to read, so that `data check` finds all of them."""
    faults: list[DataError] = []
    token = _collected.set(faults)
    try:
        yield faults
    finally:
        _collected.reset(token)


class SplitDataset(ABC):
    """The samples of one split in a fixed order.

    Raises DataError if the split is empty or holds an id twice.
    """

    has_truth: bool = True  # whether there are labels; without, every pixel is ignored

    def __init__(self, name: str, ids: Sequence[str], source: str | Path) -> None:
        """Take a split's name, its ids and where they were read (for error messages)."""
        if not len(ids):
            raise DataError(source, f"split {name!r} is empty", "expected at least one sample")
        self.name = name
        self.ids: NDArray[np.str_] = np.array(ids, dtype=np.str_)
        unique, counts = np.unique(self.ids, return_counts=True)
        if len(unique) < len(self.ids):
            twice = f"split {name!r} lists {some(unique[counts > 1])} twice"
            fault(DataError(source, twice, "list each id once"))

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return the sample at `index`: image uint8 [H, W, 3], label uint8 [H, W], at the files' own size."""

    def check(self) -> None:  # noqa: B027 — samples that are no files need no check
        """Raise DataError if a sample's files are missing; cheap enough to run before every training."""

    def sources(self) -> list[Sequence[str] | str]:
        """Return what the samples are made from besides their ids: lists of files, or descriptions.

        They are part of the fingerprint. Empty if samples follow from the configuration.
        """
        return []


class FileSplit(SplitDataset):
    """A split whose samples are pairs of files, an image and a label.

    Without labels, as in a test split whose truth is not public, every pixel is ignored.
    """

    def __init__(
        self,
        name: str,
        ids: Sequence[str],
        images: Sequence[Path],
        labels: Sequence[Path] | None,
        label_format: LabelFormat,
        source: str | Path,
        made_from: Sequence[Path] | str | None = None,
    ) -> None:
        """Take ids with their image and label files, in the same order, and how label files are read.

        `made_from` are the files that the label files were made from, or a description of these.
        """
        super().__init__(name, ids, source)
        self.made_from = made_from
        self.images: NDArray[np.str_] = np.array([str(path) for path in images], dtype=np.str_)
        self.labels: NDArray[np.str_] = np.array([str(path) for path in labels or ()], dtype=np.str_)
        self.has_truth = labels is not None
        self.label_format, self.source = label_format, str(source)
        self.meaning: str | None = (
            None  # of the labels' values, if neither the class nor options determine it
        )

    def __getitem__(self, index: int) -> Sample:
        image_file = str(self.images[index])
        image = read_image(image_file)
        if not self.has_truth:
            return Sample(image, np.full(image.shape[:2], IGNORE_INDEX, np.uint8), str(self.ids[index]))
        label_file = str(self.labels[index])
        label = self.label_format.read(label_file)
        check_sizes(image.shape[:2], label.shape[:2], image_file, label_file)
        return Sample(image, label, str(self.ids[index]))

    def part(self, indices: NDArray[np.int64]) -> "FileSplit":
        """Return the samples at `indices` as a split, to be sent to another process."""
        part = copy(self)
        part.ids, part.images = self.ids[indices], self.images[indices]
        part.labels = self.labels[indices] if self.has_truth else self.labels
        return part

    def sources(self) -> list[Sequence[str] | str]:
        """Return the image files, the labels' origin, which does not depend on preparation, and meaning."""
        labels = self.labels.tolist() if self.made_from is None else self.made_from
        sources = [self.images.tolist(), labels if isinstance(labels, str) else list(map(str, labels))]
        return sources if self.meaning is None else [*sources, self.meaning]

    def check(self) -> None:
        """Raise DataError, naming the first file, if images or labels are missing."""
        for kind, files in (("image", self.images), ("label", self.labels)):
            missing = [file for file in files if not Path(file).is_file()]
            if missing:
                raise DataError(
                    missing[0],
                    f"{kind} listed in {self.source} is missing ({len(missing)} of {len(files)} are)",
                    "restore it or take it off the list",
                )


class JoinedSplit(SplitDataset):
    """A concatenation of splits, such as `trainval`; they must not share ids."""

    def __init__(self, name: str, parts: Sequence[SplitDataset]) -> None:
        super().__init__(
            name, [str(i) for part in parts for i in part.ids], " + ".join(p.name for p in parts)
        )
        self.parts = tuple(parts)
        self.part_lengths = tuple(len(part) for part in parts)
        self.has_truth = all(part.has_truth for part in parts)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise AssertionError("the parts are as long as the whole")

    def check(self) -> None:
        """Check each of the parts."""
        for part in self.parts:
            part.check()


def check_disjoint(train: SplitDataset, val: SplitDataset) -> None:
    """Raise DataError, naming the ids, if a training split shares samples with an evaluation split."""
    shared = np.intersect1d(train.ids, val.ids)
    if len(shared):
        raise DataError(
            f"splits {train.name!r} and {val.name!r}",
            f"they share {len(shared)} of {len(val)} ids ({some(shared)})",
            "expected none, take them off one of the lists",
        )


def some(names: Sequence[str] | NDArray[np.str_], most: int = 5) -> str:
    """Return the first few names for an error message, and the number of others."""
    others = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + others
