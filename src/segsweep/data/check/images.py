"""Open images and labels completely: find problems of the files, and count what the labels hold.

Runs in processes of their own, so it must not import torch. Shape letters: `H`, `W` the image, `K` the number
of classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.check.problems import Problem
from segsweep.data.labels import IndexLabels, LabelFormat, LabelMap, indices, refuse_lossy
from segsweep.data.orientation import check_fit, is_of_stored_pixels
from segsweep.data.parallel import spread
from segsweep.data.repairs import python
from segsweep.data.sample import IGNORE_INDEX, check_depth, open_image
from segsweep.errors import DataError

UNUSUAL = {"L": "grey images, read as RGB", "CMYK": "CMYK images, read as RGB"}
STORED = "images that viewers turn by their EXIF orientation, read as stored, as their labels are"
CHUNK = 8
"""Samples handed to a process at once."""
Progress = Callable[[int, int], None]
"""(samples done, samples in all)."""


class Pair(NamedTuple):
    """The files of a sample."""

    image: str
    label: str | None
    format: LabelFormat


class View(NamedTuple):
    """What opening a sample needs to know of the dataset."""

    size: tuple[int, int]
    """(H, W) of the training crop."""
    palette: tuple[tuple[int, int, int], ...]
    classes: int


@dataclass
class Finding:
    """What opening a sample found."""

    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is unusual but harmless."""
    stored: frozenset[int] = frozenset()
    """The values that a label file of indices holds."""
    refused: Problem | None = None
    """The problem that these are not the values of the dataset's label files."""
    pixels: NDArray[np.int64] | None = None
    """[K+1], of each class and, last, the ignored; None if the label could not be used."""
    size: tuple[int, int] | None = None
    """(H, W) of the image; None if it could not be read."""
    void_crop: bool = False
    """Whether a training crop may hold ignored pixels only."""


def examine(pair: Pair, view: View) -> Finding:
    """Open a sample's files and check everything in them."""
    finding = Finding()
    image = _image(pair.image, finding)
    label = _label(pair, view, finding) if pair.label is not None else None
    if image is not None:
        _compare(image, label, pair, finding)
    return finding


def count(label: LabelMap, view: View, finding: Finding) -> None:
    """Count the pixels of a label map [H, W] into a finding."""
    pixels = np.bincount(label.ravel(), minlength=256)
    finding.pixels = np.append(pixels[: view.classes], pixels[IGNORE_INDEX])
    finding.void_crop = has_void_crop(label, view.size)


def has_void_crop(label: LabelMap, size: tuple[int, int]) -> bool:
    """Return whether a crop of `size` of a label map [H, W], padded if smaller, may be all ignored."""
    h, w = (min(crop, side) for crop, side in zip(size, label.shape, strict=True))
    void = (label == IGNORE_INDEX).astype(np.uint8)
    if int(np.count_nonzero(void)) < h * w:
        return False
    sums = cv2.integral(void)
    return bool((sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]).max() == h * w)


def _image(file: str, finding: Finding) -> Image.Image | None:
    try:
        image = open_image(file)
        check_depth(image, file)
    except DataError as error:
        finding.problems.append(Problem.of(error))
        return None
    finding.size = image.height, image.width
    if image.mode in UNUSUAL:
        finding.remarks.append(UNUSUAL[image.mode])
    return image


def _label(pair: Pair, view: View, finding: Finding) -> LabelMap | None:
    """Return the label map; the stored values if these are wrong; None if it cannot be read."""
    assert pair.label is not None
    try:
        refuse_lossy(pair.label)
        table = pair.format.table(pair.label)
        if table is not None:
            return _indices(pair.label, table, view, finding)
        label = pair.format.read(pair.label)
    except DataError as error:
        finding.problems.append(Problem.of(error))
        return None
    count(label, view, finding)
    return label


def _indices(file: str, table: IndexLabels, view: View, finding: Finding) -> LabelMap:
    picture = open_image(file)
    try:
        stored = indices(picture, file)
    except DataError as error:
        raise _narrowed(error, picture, file) from error
    finding.stored = frozenset(np.flatnonzero(np.bincount(stored.ravel())).tolist())
    try:
        label = table.look_up(stored, file)
    except DataError as error:
        finding.refused = Problem.of(error)
        return stored
    if picture.mode == "P" and _other_colours(picture, finding.stored, table, view):
        finding.remarks.append(
            "label files with a palette of other colours (viewers show it, training does not)"
        )
    count(label, view, finding)
    return label


def _narrowed(error: DataError, picture: Image.Image, file: str) -> DataError:
    """Return the error of a label of a wide mode, with a command to narrow it if its values fit 8 bits."""
    values = np.asarray(picture)
    grey = values.ndim == 2 or (values == values[..., :1]).all()
    if values.dtype.kind not in "iu" or values.max() > IGNORE_INDEX or not grey:
        return error
    plane = "" if values.ndim == 2 else "[..., 0]"
    code = f'a = np.array(Image.open(f[0])){plane}; Image.fromarray(a.astype("uint8")).save(f[0])'
    what = f"{error.problem}, though all its values fit 8 bits"
    return DataError(file, what, python(f"import numpy as np; {code}", file))


def _other_colours(picture: Image.Image, stored: frozenset[int], table: IndexLabels, view: View) -> bool:
    """Return whether a palette shows a class in another colour than the dataset's."""
    shown = np.reshape(picture.getpalette() or [], (-1, 3)).tolist()
    pairs = [(value, table.values[value]) for value in stored if value < len(shown)]
    return any(tuple(shown[value]) != view.palette[index] for value, index in pairs if index < view.classes)


def _compare(image: Image.Image, label: LabelMap | None, pair: Pair, finding: Finding) -> None:
    """Compare the sizes of image and label, with regard to the image's EXIF orientation."""
    size = None if label is None else (label.shape[0], label.shape[1])
    try:
        check_fit(image, size, pair.image, str(pair.label))
    except DataError as error:
        finding.problems.append(Problem.of(error))
    if size is not None and is_of_stored_pixels(image, size):
        finding.remarks.append(STORED)


def scan(pairs: Sequence[Pair], view: View, workers: int, on_progress: Progress) -> list[Finding]:
    """Return the findings of each pair of files, in order; opened in this process if `workers` is 0.

    Raises:
        UserError: a process was killed.
    """
    on_progress(0, len(pairs))
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    found: list[Finding] = []
    for findings in spread(partial(_examine_all, view), chunks, min(workers, len(chunks))):
        found += findings
        on_progress(len(found), len(pairs))
    return found


def _examine_all(view: View, pairs: Sequence[Pair]) -> list[Finding]:
    # OpenCV's own threads would compete with the other processes for the same cores.
    cv2.setNumThreads(0)
    return [examine(pair, view) for pair in pairs]
