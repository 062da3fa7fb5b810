"""A dataset: its classes, splits and official release, and a fingerprint of its files.

Batches, loader processes, augmentation and order are in `datamodule`.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from segsweep.data.download import Archive
from segsweep.data.prepare import Preparation
from segsweep.data.split import JoinedSplit, SplitDataset, check_disjoint
from segsweep.errors import DataError, OptionError
from segsweep.files import digest

log = getLogger(__name__)
SAMPLED = 8
"""Files of each kind (images, labels) of a split whose content the fingerprint includes, spread evenly."""


@dataclass(frozen=True)
class OfficialSplit:
    """A split of the official release."""

    count: int
    ids: str | None = None  # `ids_hash` of its sample ids; None if only the number is known


@dataclass(frozen=True)
class Submission:
    """The form in which a benchmark accepts predictions: one PNG per image, in an archive."""

    archive: str  # `tar` or `zip`; empty for a folder
    member: str  # name of an image's file in the archive, with `{id}` for the sample's id
    values: Mapping[int, int]  # the value that is stored for each class index
    palette: bool = False  # whether the PNGs carry the dataset's palette; grey otherwise
    size: tuple[int, int] | None = None  # (H, W) of every file; None for each image's own
    server: str = ""  # where to submit it


class SegmentationDataset(ABC):
    """Base class of all datasets: a subclass names its classes and reads its splits (`read_split`).

    A subclass's `__init__` takes its own options and passes the others on. Options annotated as `Path`
    (`root: str | Path`) are places and not part of a run's identity.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()  # the classes' colours, RGB 0..255
    takes: ClassVar[tuple[str, ...]] = ()
    """Options of the configuration's top level that `__init__` takes as well, such as `size`."""
    splits: tuple[str, ...] = ("train", "val", "test")
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Splits that are concatenations, such as `{"trainval": ("train", "val")}`."""
    val_split: str = "val"
    test_split: str = "test"
    official: ClassVar[Mapping[str, OfficialSplit]] = {}  # the official release's splits, for `data check`
    release_size: tuple[int, int] | None = None
    """(H, W) of every image of the official release, for `data check`; None if they differ."""
    layout: str = ""  # the expected folders and files under `root`, in one line, for error messages
    fetch: str = ""  # where to get the files and where to put them, in one line, for error messages
    encodings: ClassVar[Mapping[str, frozenset[int]]] = {}
    """Values in other versions of the label files, by description, for `data check`."""
    submission: ClassVar[Submission | None] = None
    """The benchmark's format of predictions for splits without public labels."""
    weights: tuple[float, ...] | None = None
    """Shares of a mixture's parts (`JoinedSplit.parts`) in the training stream; None for shares by size."""

    title: str = ""
    """What protocol cards call it; empty for its name in the configuration."""
    notes: tuple[str, ...] = ()
    """How its files were understood, for `data check`, if that is not laid down."""
    licence: str = ""
    """The terms of its images and labels in a line, for descriptions of networks; empty if not known."""
    group_unit: str = ""
    """What a group of images is, such as `drive`; empty if images are independent of one another."""

    def __init__(
        self, *, train_split: str = "train", val_split: str | None = None, cache: str | Path | None = None
    ) -> None:
        """Take the options that all datasets share.

        `val_split` is the split on which training validates and selects the best checkpoint, None for the
        class's own. `cache` is a folder for decoded samples of the train and val splits. Raises ConfigError
        if a split does not exist or the training split is the one to test on.
        """
        self.train_split = train_split
        self.cache = None if cache is None else Path(cache).expanduser()
        self._check_split_name(train_split, "train_split")
        if val_split is not None:
            self._check_split_name(val_split, "val_split")
            self.val_split = val_split
        if train_split == self.test_split:
            problem = "is the split to test on"
            raise OptionError("train_split", train_split, problem=problem, remedy="train on another")

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @classmethod
    def group_of(cls, id: str) -> str | None:
        """Return the group of an image, known by its id alone; None if it is independent of the others.

        Images of one group, such as frames of one drive, resemble each other, so that intervals over images
        are too narrow for other groups.
        """
        return None

    @abstractmethod
    def read_split(self, name: str) -> SplitDataset:
        """Read one of `splits`; raise DataError if its files are wrong."""

    def preparations(self) -> list[Preparation]:
        """Return the files that `segsweep data prepare` makes once from the release."""
        return []

    def archives(self) -> list[tuple[Archive, Path]]:
        """Return the official archives that need no account, each with its target folder."""
        return []

    def split(self, name: str) -> SplitDataset:
        """Return a split, joined ones included, as a map-style dataset of full-size samples.

        Raises ConfigError for an unknown name, DataError for an empty or unreadable split.
        """
        self._check_split_name(name, "split")
        if name in self.joined:
            return JoinedSplit(name, [self.read_split(part) for part in self.joined[name]])
        return self.read_split(name)

    def _check_split_name(self, name: str, option: str) -> None:
        known = (*self.splits, *self.joined)
        if name not in known:
            problem = f"{type(self).__name__} has no such split"
            raise OptionError(option, name, problem=problem, near=known)

    def check_files(self) -> None:
        """Check that all files of the train and val splits exist, and that no image is in both.

        A split that training includes by name, as trainval does val, is not compared: the log warns that its
        scores are on training images. Raises DataError.
        """
        train, val = self.split(self.train_split), self.split(self.val_split)
        train.check()
        val.check()
        inside = self.joined.get(self.train_split, (self.train_split,))
        for name in dict.fromkeys((self.val_split, self.test_split)):
            if name not in inside:
                check_disjoint(train, val if name == self.val_split else self.split(name))
            else:
                log.warning(
                    "dataset.train_split %s contains %s: its scores are on training images",
                    self.train_split,
                    name,
                )

    def split_hash(self, name: str) -> str:
        """Return the first 16 hex digits of the SHA-256 of a split's ids, in order, one a line."""
        ids = "\n".join(str(i) for i in self.split(name).ids)
        return hashlib.sha256(ids.encode()).hexdigest()[:16]


def ids_hash(ids: Sequence[str] | NDArray[Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of a set of ids: sorted, one a line."""
    return hashlib.sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()[:16]


def fingerprint(dataset: SegmentationDataset) -> str:
    """Return the first 16 hex digits of a SHA-256 of what a run trains and validates on.

    Other images or labels change it, another folder does not. It is cheap: it reads the splits' lists, the
    size of every file and the content of a few. A changed file goes unnoticed only if its size is the same
    and it is not among these few.

    Raises:
        DataError: a list or a file is missing or cannot be read.
    """
    found = hashlib.sha256()
    for name in (dataset.train_split, dataset.val_split):
        for part in _parts(dataset.split(name)):
            found.update(json.dumps([part.ids.tolist(), list(_contents(part))]).encode())
    return found.hexdigest()[:16]


def _parts(split: SplitDataset) -> Iterator[SplitDataset]:
    if isinstance(split, JoinedSplit):
        for part in split.parts:
            yield from _parts(part)
    else:
        yield split


def _contents(split: SplitDataset) -> Iterator[str | list[int]]:
    """Yield, for each kind of file, the sizes in bytes and then hashes of the sampled files."""
    for source in split.sources():
        if isinstance(source, str):
            yield source
            continue
        last, count = len(source) - 1, min(SAMPLED, len(source))
        sampled = [source[round(number * last / max(1, count - 1))] for number in range(count)]
        try:
            yield [Path(file).stat().st_size for file in source]
            yield from (digest(Path(file)) for file in sampled)
        except OSError as error:
            split.check()  # names what is missing and where it is listed
            raise DataError(error.filename, f"cannot be read ({error.strerror})") from error
