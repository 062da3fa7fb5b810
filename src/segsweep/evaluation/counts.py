"""Counts of right and wrong pixels: for each image and class, and as one confusion matrix of the set.

Counts are integers that add up, so ranks merge without loss, and every statistic (intervals, paired
comparisons) is computed later from the file, not by running the network again.

Shape letters: `N` images, `K` classes, `H W` a label map.
"""

import csv
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DataError, OptionError
from segsweep.evaluation.histogram import boundary_counts, joint_histogram, marginals
from segsweep.runs import layout
from segsweep.statistics.figures import FIGURES, class_accuracy, class_boundary_iou, iou

Integers = NDArray[np.int64]
Map = NDArray[np.uint8]

ROWS = ("tp", "fp", "fn", "boundary_tp", "boundary_fp", "boundary_fn")


class Counts:
    """The counts of one strategy over one split.

    Attributes:
        num_classes: K, 1 to 255.
        ids: the images' names, in the order in which they were counted.
        confusion: int64 [K, K] over all images, rows truth, columns prediction, ignored pixels left out.
    """

    def __init__(self, num_classes: int) -> None:
        if not 1 <= num_classes <= IGNORE_INDEX:
            raise OptionError("num_classes", num_classes, f"1 to {IGNORE_INDEX}; labels are 8 bits wide")
        self.num_classes = num_classes
        self.ids: list[str] = []
        self.confusion: Integers = np.zeros((num_classes, num_classes), np.int64)
        self._sizes: list[tuple[int, int]] = []
        self._rows: list[Integers] = []
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each image in pixels."""
        return list(self._sizes)

    @property
    def rows(self) -> Integers:
        """The counts `ROWS` of each image, int64 [N, 6, K]."""
        return np.stack(self._rows) if self._rows else np.zeros((0, len(ROWS), self.num_classes), np.int64)

    @property
    def region(self) -> Integers:
        """tp, fp, fn of each image and class, int64 [3, N, K]."""
        return self.rows[:, :3].swapaxes(0, 1)

    @property
    def boundary(self) -> Integers:
        """tp, fp, fn of each image and class within the boundary bands, int64 [3, N, K]."""
        return self.rows[:, 3:].swapaxes(0, 1)

    def update(self, id: str, prediction: NDArray[Any], label: Map) -> None:
        """Count one image: prediction and label are integers [H, W], ignored pixels 255 in the label.

        Raises:
            DataError: the image was counted before, the sizes differ, or a label is not a class.
        """
        if prediction.shape != label.shape:
            raise DataError(id, f"prediction of {prediction.shape} for a label of {label.shape} [H, W]")
        assert not prediction.size or 0 <= prediction.min() <= prediction.max() < self.num_classes
        joint = joint_histogram(prediction.astype(np.uint8, copy=False), label, self.num_classes)
        wrong = np.flatnonzero(joint[:, :, self.num_classes : IGNORE_INDEX].sum((0, 1, 3)))
        if wrong.size:
            raise DataError(
                id,
                f"label {wrong[0] + self.num_classes} is neither a class (0 to {self.num_classes - 1}) nor "
                f"ignored ({IGNORE_INDEX}): correct the file or num_classes",
            )
        joint = joint[:, :, : self.num_classes]
        row = np.concatenate([marginals(joint.sum((0, 1))), boundary_counts(joint)])
        self._append(id, (label.shape[1], label.shape[0]), row)
        self.confusion += joint.sum((0, 1))

    def _append(self, id: str, size: tuple[int, int], row: Integers) -> None:
        if id in self._seen:
            raise DataError(id, "counted twice", "every image of a split needs an id of its own")
        self._seen.add(id)
        self.ids.append(id)
        self._sizes.append(size)
        self._rows.append(row)

    @classmethod
    def merge(cls, parts: Sequence["Counts"], order: Iterable[str] | None = None) -> "Counts":
        """Return the counts of several ranks as one, in the `order` of ids that is given or as they come.

        Raises:
            DataError: an image is missing, or was counted twice.
        """
        counted = [id for part in parts for id in part.ids]
        wanted = counted if order is None else list(order)
        images = {
            id: (size, row)
            for part in parts
            for id, size, row in zip(part.ids, part._sizes, part._rows, strict=True)
        }
        if len(images) != len(counted) or sorted(wanted) != sorted(counted):
            raise DataError(
                "counts", f"of {len(counted)} images, not of each of the {len(wanted)} exactly once"
            )
        merged = cls(parts[0].num_classes)
        merged.confusion += sum(part.confusion for part in parts)
        for id in wanted:
            merged._append(id, *images[id])
        return merged

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
        sizes = np.array(self._sizes, np.int64).reshape(-1, 2)
        ids = np.array(self.ids, np.str_)
        arrays = {"ids": ids, "sizes": sizes, "confusion": self.confusion, **per_image}
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
            DataError: the file is damaged.
        """
        path = folder / layout.COUNTS
        try:
            # Opened here, as numpy does not close a file that is not an archive.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls._of_arrays(dict(file))
        # What zip files, zlib and numpy's headers raise if a bit has flipped, and arrays that do not fit.
        except (BadZipFile, zlib.error, ArithmeticError, LookupError, TypeError, ValueError, EOFError,
                NotImplementedError, OSError, SyntaxError, MemoryError, struct.error) as error:  # fmt: skip
            raise DataError(path, "damaged", f"remove {folder} and run `segsweep test` again") from error

    @classmethod
    def _of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Counts":
        counts = cls(len(arrays["confusion"]))
        counts.confusion += arrays["confusion"]
        rows = np.stack([arrays[name] for name in ROWS], axis=1)
        for id, (width, height), row in zip(
            arrays["ids"].tolist(), arrays["sizes"].tolist(), rows, strict=True
        ):
            counts._append(id, (width, height), row)
        return counts

    def _check_names(self, classes: Sequence[str]) -> None:
        if len(classes) != self.num_classes or len(set(classes)) != len(classes):
            problem = f"{len(set(classes))} different names for {self.num_classes} classes"
            raise OptionError("classes", problem=problem, remedy="give one each")


def _number(value: np.floating[Any] | NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)
