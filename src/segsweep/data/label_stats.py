"""Which classes each image of a split contains: read from all labels once, and cached.

Letters: `N` samples, `K` classes.
"""

import io
import logging
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsweep.data.cache import PLACES, WORTH_PROCESSES, alone, source_key
from segsweep.data.parallel import spread
from segsweep.data.split import FileSplit, JoinedSplit, SplitDataset
from segsweep.errors import UserError
from segsweep.files import write_bytes

log = logging.getLogger(__name__)
Holds = NDArray[np.bool_]


def classes_held(split: SplitDataset, num_classes: int, folder: Path, workers: int) -> Holds:
    """Return whether sample n has a pixel of class k [N, K]; cached under `folder` if labels are files.

    Raises:
        DataError: a label is missing or damaged.
    """
    if isinstance(split, JoinedSplit):
        return np.concatenate([classes_held(part, num_classes, folder, workers) for part in split.parts])
    if not isinstance(split, FileSplit):
        return _read(split, num_classes, workers)
    file = folder / f"classes-{source_key(split.labels, split.label_format, num_classes)}.npy"
    try:
        with alone(file):
            if not file.is_file():
                content = io.BytesIO()
                np.save(content, _read(split, num_classes, workers))
                write_bytes(file, content.getvalue(), PLACES)
            return np.asarray(np.load(file), dtype=np.bool_)
    except UserError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        log.warning("%s; the classes are read from the labels again next time", error)
        return _read(split, num_classes, workers)


def _read(split: SplitDataset, num_classes: int, workers: int) -> Holds:
    start = time.perf_counter()
    log.info("%s: reading the labels of %d samples for their classes, once", split.name, len(split))
    chunks = np.array_split(np.arange(len(split)), min(len(split), max(1, workers) * 16))
    parts = [
        (split.part(chunk), None) if isinstance(split, FileSplit) else (split, chunk) for chunk in chunks
    ]
    rows = list(spread(partial(_held, num_classes), parts, workers, "num_workers", WORTH_PROCESSES))
    log.info("%s: read in %.1f s", split.name, time.perf_counter() - start)
    return np.concatenate(rows)


def _held(num_classes: int, part: tuple[SplitDataset, NDArray[np.int64] | None]) -> Holds:
    split, indices = part
    chosen = range(len(split)) if indices is None else indices.tolist()
    rows = np.zeros((len(chosen), num_classes), dtype=np.bool_)
    for row, index in zip(rows, chosen, strict=True):
        if isinstance(split, FileSplit):
            label = split.label_format.read(str(split.labels[index]))
        else:
            label = split[index].label
        row[:] = np.bincount(label.ravel(), minlength=256)[:num_classes] > 0
    return rows
