"""Counts: all that is kept of a test. Every figure and statistic is computed from them later.

`N` images, `K` classes. For each image and class: true positives, false positives and false negatives,
of the whole maps and of their boundary bands; and one confusion matrix of the whole set.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix

from segsweep.data.sample import IGNORE_INDEX
from segsweep.testing import metrics
from segsweep.testing.boundary import boundary_band, boundary_width

Integers = NDArray[np.int64]
Labels = NDArray[Any]

KINDS = ("tp", "fp", "fn")


class Counts:
    """Counts over images, added one image at a time."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.ids: list[str] = []
        self.confusion: Integers = np.zeros((num_classes, num_classes), np.int64)
        self._region: list[Integers] = []
        self._boundary: list[Integers] = []
        self.image_sizes: set[tuple[int, int]] = set()

    def update(self, id: str, prediction: Labels, label: Labels) -> None:
        """Count one image: prediction and label [H, W], class indices, 255 ignored in the label.

        Whatever is predicted where the label is ignored counts nowhere.
        """
        confusion = confusion_matrix(prediction, label, self.num_classes)
        self.ids.append(id)
        self.confusion += confusion
        self._region.append(np.stack(metrics.marginals(confusion)))
        self._boundary.append(boundary_counts(prediction, label, self.num_classes))
        self.image_sizes.add((int(label.shape[0]), int(label.shape[1])))

    @property
    def region(self) -> Integers:
        """[3, N, K]: tp, fp, fn of each image and class."""
        return _stacked(self._region, self.num_classes)

    @property
    def boundary(self) -> Integers:
        """[3, N, K]: the same within the boundary bands."""
        return _stacked(self._boundary, self.num_classes)

    @classmethod
    def merge(cls, parts: Sequence["Counts"], order: Iterable[str]) -> "Counts":
        """The counts of several processes as one would have them: images in the given order of ids.

        Raises:
            ValueError: an image is missing, or was counted twice.
        """
        merged = cls(parts[0].num_classes)
        place = {id: (part, i) for part in parts for i, id in enumerate(part.ids)}
        merged.ids = list(order)
        if sorted(merged.ids) != sorted(id for part in parts for id in part.ids):
            raise ValueError("the parts do not hold each image exactly once")
        merged._region = [place[id][0]._region[place[id][1]] for id in merged.ids]
        merged._boundary = [place[id][0]._boundary[place[id][1]] for id in merged.ids]
        merged.confusion = np.sum([part.confusion for part in parts], axis=0)
        merged.image_sizes = set().union(*(part.image_sizes for part in parts))
        return merged

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """The figures as plain values, None for what is undefined (see `metrics` for the rules)."""
        iou = metrics.iou(*metrics.marginals(self.confusion))
        accuracy = metrics.class_accuracy(self.confusion)
        boundary = metrics.iou(*self.boundary.sum(axis=1))
        return {
            "miou": number(metrics.nanmean(iou)),
            "pixel_accuracy": number(metrics.pixel_accuracy(self.confusion)),
            "fwiou": number(metrics.frequency_weighted_iou(self.confusion)),
            "boundary_iou": number(metrics.nanmean(boundary)),
            "images": len(self.ids),
            "absent": [name for name, value in zip(classes, iou, strict=True) if np.isnan(value)],
            "classes": {
                name: {"iou": number(i), "boundary_iou": number(b), "accuracy": number(a)}
                for name, i, b, a in zip(classes, iou, boundary, accuracy, strict=True)
            },
        }

    def save(self, folder: Path, classes: Sequence[str]) -> None:
        """Write counts.npz (ids [N], region and boundary [3, N, K]) and confusion.csv."""
        np.savez_compressed(
            folder / "counts.npz",
            ids=np.array(self.ids, dtype=np.str_),
            region=self.region,
            boundary=self.boundary,
            sizes=np.array(sorted(self.image_sizes), np.int64),
        )
        table = pd.DataFrame(
            self.confusion, index=pd.Index(classes, name="truth \\ prediction"), columns=classes
        )
        table.to_csv(folder / "confusion.csv")

    @classmethod
    def load(cls, folder: Path) -> "Counts":
        """Read what `save` wrote."""
        with np.load(folder / "counts.npz", allow_pickle=False) as saved:
            region, boundary, ids, sizes = (saved[key] for key in ("region", "boundary", "ids", "sizes"))
        counts = cls(region.shape[2])
        counts.ids = [str(id) for id in ids]
        counts._region, counts._boundary = list(region.swapaxes(0, 1)), list(boundary.swapaxes(0, 1))
        counts.image_sizes = {(int(height), int(width)) for height, width in sizes}
        counts.confusion = pd.read_csv(folder / "confusion.csv", index_col=0).to_numpy(np.int64)
        return counts


def confusion_matrix(prediction: Labels, label: Labels, num_classes: int) -> Integers:
    """int64 [K, K] of one image, rows the truth, ignored pixels left out."""
    matrix = multiclass_confusion_matrix(
        torch.from_numpy(np.ascontiguousarray(prediction)).long().flatten(),
        torch.from_numpy(np.ascontiguousarray(label)).long().flatten(),
        num_classes,
        ignore_index=IGNORE_INDEX,
        validate_args=False,
    )
    return np.asarray(matrix.numpy(), np.int64)


def boundary_counts(prediction: Labels, label: Labels, num_classes: int) -> Integers:
    """[3, K]: tp, fp, fn of the boundary bands (Boundary IoU), ignored pixels left out.

    The truth's void is copied into the prediction first, as `boundary_band` explains.
    """
    valid = label != IGNORE_INDEX
    label = label.astype(np.uint8)
    prediction = np.where(valid, prediction, IGNORE_INDEX).astype(np.uint8)
    width = boundary_width(*label.shape)
    true_band = boundary_band(label, width) & valid
    found_band = boundary_band(prediction, width) & valid
    both = true_band & found_band & (prediction == label)
    in_truth, in_prediction, in_both = (
        np.bincount(labels[band], minlength=num_classes)[:num_classes]
        for labels, band in ((label, true_band), (prediction, found_band), (label, both))
    )
    return np.stack([in_both, in_prediction - in_both, in_truth - in_both]).astype(np.int64)


def number(value: float) -> float | None:
    """A float for JSON; None for NaN."""
    return None if np.isnan(value) else float(value)


def _stacked(images: list[Integers], num_classes: int) -> Integers:
    return np.stack(images, axis=1) if images else np.zeros((3, 0, num_classes), np.int64)
