"""Counts of right and wrong pixels: for each image and class, and as one confusion matrix of the set.

Counts are integers that add up, so ranks merge without loss, and every statistic (intervals, paired
comparisons) is computed later from the file, not by running the network again.

Shape letters: `N` images, `K` classes, `Z` sizes of objects, `H W` a label map.
"""

import csv
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DataError, OptionError
from segsweep.evaluation.histogram import Truth, image_counts, joint_histogram, truth_of
from segsweep.evaluation.objects import BOUNDS
from segsweep.runs import layout
from segsweep.statistics.figures import FIGURES, class_accuracy, class_boundary_iou, iou

Integers = NDArray[np.int64]
Map = NDArray[np.uint8]

ROWS = ("tp", "fp", "fn", "boundary_tp", "boundary_fp", "boundary_fn")
OBJECT_ROWS = ("object_tp", "object_fn")


class Groups(NamedTuple):
    """Which images belong together, so that they are no independent samples."""

    unit: str
    """What a group is, such as `drive`."""
    names: tuple[str, ...]
    """The group of each image, N, in the order of the counts."""


class _Image(NamedTuple):
    size: tuple[int, int]  # (width, height)
    rows: Integers  # [6, K]
    objects: Integers | None  # [Z, 2, K]


class Counts:
    """The counts of one strategy over one split.

    Attributes:
        num_classes: K, 1 to 255.
        confusion: int64 [K, K] over all images, rows truth, columns prediction, ignored pixels left out.
        groups: the images' groups; None if the dataset has none, or if an older version tested (see
            `reports.findings.grouping.groups_of`, which finds those).
    """

    def __init__(self, num_classes: int) -> None:
        if not 1 <= num_classes <= IGNORE_INDEX:
            raise OptionError("num_classes", num_classes, f"1 to {IGNORE_INDEX}; labels are 8 bits wide")
        self.num_classes = num_classes
        self.confusion: Integers = np.zeros((num_classes, num_classes), np.int64)
        self.groups: Groups | None = None
        self._images: dict[str, _Image] = {}

    def __len__(self) -> int:
        return len(self._images)

    @property
    def ids(self) -> list[str]:
        """The images' names, in the order in which they were counted."""
        return list(self._images)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each image in pixels."""
        return [image.size for image in self._images.values()]

    @property
    def rows(self) -> Integers:
        """The counts `ROWS` of each image, int64 [N, 6, K]."""
        rows = [image.rows for image in self._images.values()]
        return np.stack(rows) if rows else np.zeros((0, len(ROWS), self.num_classes), np.int64)

    @property
    def objects(self) -> Integers | None:
        """True positives and false negatives by size of the true object, int64 [N, Z, 2, K].

        Their sums over Z are the image's tp and fn. Sizes are `objects.OBJECT_SIZES`. False positives lie in
        no object of their class; `statistics.sizes` says how they are shared out. None if there are no
        images, or if an older version counted some.
        """
        found = [image.objects for image in self._images.values() if image.objects is not None]
        return np.stack(found) if found and len(found) == len(self) else None

    @property
    def region(self) -> Integers:
        """tp, fp, fn of each image and class, int64 [3, N, K]."""
        return self.rows[:, :3].swapaxes(0, 1)

    @property
    def boundary(self) -> Integers:
        """tp, fp, fn of each image and class within the boundary bands, int64 [3, N, K]."""
        return self.rows[:, 3:].swapaxes(0, 1)

    def group(self, unit: str, group_of: Callable[[str], str | None]) -> None:
        """Set the groups by a dataset's rule; an image without group is one by itself.

        None of the images has a group if the dataset has no `unit`.
        """
        self.groups = Groups(unit, tuple(group_of(id) or id for id in self.ids)) if unit else None

    def update(self, id: str, prediction: NDArray[Any], label: Map, truth: Truth | None = None) -> None:
        """Count one image: prediction and label are integers [H, W], ignored pixels 255 in the label.

        `truth` is `truth_of` the label, if several strategies share it.

        Raises:
            DataError: the image was counted before, the sizes differ, or a label is not a class.
        """
        if prediction.shape != label.shape:
            raise DataError(id, f"prediction of {prediction.shape} for a label of {label.shape} [H, W]")
        assert not prediction.size or 0 <= prediction.min() <= prediction.max() < self.num_classes
        self._check_label(id, label)
        truth = truth_of(label, self.num_classes) if truth is None else truth
        joint = joint_histogram(prediction.astype(np.uint8, copy=False), truth, self.num_classes)
        rows, objects = image_counts(joint)
        self._append(id, _Image((label.shape[1], label.shape[0]), rows, objects))
        self.confusion += joint.sum((0, 1, 3))

    def _check_label(self, id: str, label: Map) -> None:
        """Raise DataError if a label is neither a class nor ignored."""
        if label.size and (label + np.uint8(1)).max() > self.num_classes:  # ignored ones become 0
            wrong = label[(label >= self.num_classes) & (label != IGNORE_INDEX)].min()
            classes = f"a class (0 to {self.num_classes - 1})"
            problem = f"label {wrong} is neither {classes} nor ignored ({IGNORE_INDEX})"
            raise DataError(id, problem, "correct the file or num_classes")

    def _append(self, id: str, image: _Image) -> None:
        if id in self._images:
            raise DataError(id, "counted twice", "every image of a split needs an id of its own")
        self._images[id] = image

    @classmethod
    def merge(cls, parts: Sequence["Counts"], order: Iterable[str] | None = None) -> "Counts":
        """Return the counts of several ranks as one, in the `order` of ids that is given or as they come.

        Raises:
            DataError: an image is missing, or was counted twice.
        """
        counted = [id for part in parts for id in part.ids]
        wanted = counted if order is None else list(order)
        images = {id: image for part in parts for id, image in part._images.items()}
        if len(images) != len(counted) or sorted(wanted) != sorted(counted):
            raise DataError(
                "counts", f"of {len(counted)} images, not of each of the {len(wanted)} exactly once"
            )
        merged = cls(parts[0].num_classes)
        merged.confusion += sum(part.confusion for part in parts)
        for id in wanted:
            merged._append(id, images[id])
        return merged

    def by_name(self) -> "Counts":
        """Return the counts in the order of the images' names: one order, and so one interval, everywhere."""
        ordered = Counts.merge([self], sorted(self.ids))
        if self.groups is not None:
            group = dict(zip(self.ids, self.groups.names, strict=True))
            ordered.groups = Groups(self.groups.unit, tuple(group[id] for id in ordered.ids))
        return ordered

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return figures of the whole set, ready for JSON (NaN is None), by the rules of `figures`."""
        self._check_names(classes)
        totals = self.rows.sum(0)
        ious = iou(totals)
        columns = zip(classes, ious, class_boundary_iou(totals), class_accuracy(totals), strict=True)
        return {
            **{name: _number(figure(totals)) for name, figure in FIGURES.items()},
            "per_class": {
                name: {"iou": _number(i), "boundary_iou": _number(b), "accuracy": _number(a)}
                for name, i, b, a in columns
            },
            "absent": [name for name, value in zip(classes, ious, strict=True) if np.isnan(value)],
            "images": len(self),
        }

    def save(self, folder: Path, classes: Sequence[str]) -> None:
        """Write `counts.npz` (all counts, no pickles) and `confusion.csv` (rows truth)."""
        self._check_names(classes)
        per_image = {name: self.rows[:, index] for index, name in enumerate(ROWS)}
        sizes = np.array(self.sizes, np.int64).reshape(-1, 2)
        ids = np.array(self.ids, np.str_)
        arrays = {"ids": ids, "sizes": sizes, "confusion": self.confusion, **per_image}
        if (objects := self.objects) is not None:
            arrays |= {name: objects[:, :, index] for index, name in enumerate(OBJECT_ROWS)}
            arrays["object_bounds"] = np.array(BOUNDS, np.float64)
        if self.groups is not None:
            arrays |= {"groups": np.array(self.groups.names), "group_unit": np.array(self.groups.unit)}
        # The keywords are array names; numpy's stub takes them for its own option.
        np.savez_compressed(folder / layout.COUNTS, **arrays)  # type: ignore[arg-type]
        with (folder / layout.CONFUSION).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["truth \\ prediction", *classes])
            writer.writerows([name, *row.tolist()] for name, row in zip(classes, self.confusion, strict=True))

    @classmethod
    def load(cls, folder: Path) -> "Counts":
        """Read what `save` wrote.

        Raises:
            DataError: the file is damaged, or not there.
        """
        path = folder / layout.COUNTS
        try:
            # Opened here, as numpy does not close a file that is not an archive.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls._of_arrays(dict(file))
        # What zip files, zlib and numpy's headers raise if a bit has flipped, and arrays that do not fit.
        except (BadZipFile, zlib.error, ArithmeticError, LookupError, TypeError, ValueError, EOFError,
                RuntimeError, OSError, SyntaxError, MemoryError, struct.error) as error:  # fmt: skip
            if isinstance(error, FileNotFoundError):
                raise DataError(path, "not there", "run `segsweep test` again") from error
            raise DataError(path, "damaged", f"remove {folder} and run `segsweep test` again") from error

    @classmethod
    def _of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Counts":
        counts = cls(len(arrays["confusion"]))
        counts.confusion += arrays["confusion"]
        rows = np.stack([arrays[name] for name in ROWS], axis=1)
        objects: Iterable[Integers | None] = [None] * len(rows)  # of older versions
        if np.array_equal(arrays.get("object_bounds", ()), np.array(BOUNDS, np.float64)):
            objects = np.stack([arrays[name] for name in OBJECT_ROWS], axis=2)
        each = zip(arrays["ids"].tolist(), arrays["sizes"].tolist(), rows, objects, strict=True)
        for id, (width, height), row, of_objects in each:
            counts._append(id, _Image((width, height), row, of_objects))
        if "groups" in arrays:
            counts.groups = Groups(str(arrays["group_unit"]), tuple(arrays["groups"].tolist()))
        return counts

    def _check_names(self, classes: Sequence[str]) -> None:
        if len(classes) != self.num_classes or len(set(classes)) != len(classes):
            problem = f"{len(set(classes))} different names for {self.num_classes} classes"
            raise OptionError("classes", problem=problem, remedy="give one each")


def _number(value: np.floating[Any] | NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)
