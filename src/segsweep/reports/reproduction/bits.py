"""Weights and curves of two runs, bit for bit."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from segsweep.runs import layout
from segsweep.runs.folder import RunFolder
from segsweep.training.checkpoint_files import read_checkpoint, segmenter_weights

Cells = Mapping[str, str]
"""A row of metrics.csv, as it is written."""


@dataclass(frozen=True)
class Weights:
    """One checkpoint of both runs.

    Attributes:
        name: `last.ckpt` or `best.ckpt`.
        tensors: how many there are.
        unlike: how many differ, in shape or in a bit.
        largest: the largest difference of an element, in units of its tensor's largest.
    """

    name: str
    tensors: int
    unlike: int
    largest: float


@dataclass(frozen=True)
class Curve:
    """The rows of metrics.csv of the steps that both runs have.

    Attributes:
        rows: how many both have.
        first: the first step at which they differ; None if they do not.
        largest: the largest difference by column, of all columns that differ; None if one of the two
            has no finite number where the other has one.
    """

    rows: int
    first: int | None
    largest: Mapping[str, float | None]


def compare_weights(old: RunFolder, new: RunFolder) -> list[Weights]:
    """Compare the trained weights of each checkpoint that both runs have.

    Raises:
        DamagedCheckpointError: a checkpoint cannot be read.
    """
    names = [name for name in (layout.LAST, layout.BEST) if (old.checkpoints / name).is_file()]
    return [
        _weights(name, *(segmenter_weights(read_checkpoint(run.checkpoints / name)) for run in (old, new)))
        for name in names
        if (new.checkpoints / name).is_file()
    ]


def _weights(name: str, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Weights:
    keys = old.keys() | new.keys()
    unlike = [key for key in keys if key not in old or key not in new or not same_bits(old[key], new[key])]
    pairs = [(old[k].double(), new[k].double()) for k in unlike if k in old and k in new]
    sizes = [
        float((a - b).abs().max() / a.abs().max().clamp(min=torch.finfo(a.dtype).tiny))
        for a, b in pairs
        if a.shape == b.shape and a.numel()
    ]
    return Weights(name, len(keys), len(unlike), max(sizes, default=0.0))


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal in type, shape and every bit."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    return torch.equal(*(each.contiguous().reshape(-1).view(torch.uint8) for each in (a, b)))


def compare_curves(old: RunFolder, new: RunFolder) -> Curve:
    """Compare the rows of metrics.csv; a step may have one for its loss and one for its validation."""
    ours, theirs = (_rows(run.path / layout.STEPS) for run in (old, new))
    both = [key for key in ours if key in theirs]
    unlike = [key for key in both if ours[key] != theirs[key]]
    columns = dict.fromkeys(column for key in unlike for column in (*ours[key], *theirs[key]))
    written = {name: [(ours[key].get(name), theirs[key].get(name)) for key in unlike] for name in columns}
    largest = {name: _largest(pairs) for name, pairs in written.items() if any(a != b for a, b in pairs)}
    return Curve(len(both), min((step for step, _ in unlike), default=None), largest)


def _largest(pairs: Sequence[tuple[str | None, str | None]]) -> float | None:
    """Return the largest difference of numbers as they are written; None if it is not a finite one."""
    found = [abs(float(a or "nan") - float(b or "nan")) for a, b in pairs if a != b]
    return max(found) if all(map(math.isfinite, found)) else None


def _rows(file: Path) -> dict[tuple[int, bool], Cells]:
    """Return the rows, without empty cells, by step and whether they are of a validation."""
    if not file.is_file():
        return {}
    with file.open(newline="") as lines:
        rows = [{name: text for name, text in row.items() if text} for row in csv.DictReader(lines)]
    return {(int(row["step"]), "val_miou" in row): row for row in rows}
