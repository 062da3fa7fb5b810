"""A gallery of predictions: images chosen by their counts, with truth, predictions and where these disagree.

Predictions are those that the tests kept (a run's pictures/ or predictions/), else computed from the
checkpoint under the same strategy, if it and the data are there. Letters: `H`, `W` an image, `M`, `N`, `K` as
in `striking`.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.labels import palette_image
from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DataError, FileError
from segsweep.evaluation.counts import Counts
from segsweep.files import cannot_write
from segsweep.reports.pictures.kept import KeptPictures
from segsweep.reports.pictures.striking import Striking, pair, striking
from segsweep.runs.folder import RunFolder
from segsweep.terminal import plural

log = logging.getLogger("segsweep")

Map = NDArray[np.uint8]

MOST_SHOWN = 6
"""Predictions side by side."""
LONGEST = 640
"""Pixels of a tile's longer side."""
AGREEMENT = ((217, 217, 217), (0, 114, 178), (230, 159, 0), (0, 0, 0))
"""Both right, only the first, only the second, none: grey, and Okabe and Ito's blue, orange and black, which
people with any colour vision tell apart."""


@dataclass(frozen=True)
class Shown:
    """A configuration in the gallery: its title, the run that stands for it, and its test's folder name."""

    title: str
    run: RunFolder
    test: str


class Gallery(NamedTuple):
    """Pictures as `{"image", "why", "tiles": [{"title", "src"}]}`, and what is to be said of them."""

    images: list[dict[str, Any]]
    notes: list[str]


def gallery(shown: Sequence[Shown], classes: Sequence[str], out: Path, number: int = 6) -> Gallery:
    """Write the pictures of at most `number` images under `out`/pictures and return where they are.

    Half of them are where the best and the worst of the configurations differ most, half the worst of
    classes; see `striking`.

    Args:
        shown: configurations that were tested alike, each by one run (a table's rows by their first seed).
            The first six are shown.
        classes: their names.
        out: the report's folder; `src` of a tile is relative to it.
        number: how many images; 0 for none.

    Raises:
        UserError: the folder cannot be written.
    """
    kept, notes = _readable(shown[:MOST_SHOWN])
    if not kept or number < 1:
        return Gallery([], notes)
    ids, reasons = _choosable(kept)
    notes += reasons
    if not ids:
        return Gallery([], notes)
    counts = np.stack([one.region(ids) for one in kept])
    first, second = pair(counts) if len(kept) > 1 else (0, 0)
    chosen = striking(counts, [each.title for each in kept], classes, number)
    missing = sum(not each.keeps(ids[one.image]) for one in chosen for each in kept)
    if missing:
        computed = plural(missing, "prediction")
        log.info(f"gallery: computing {computed} that no test kept; gallery=0 leaves it out")
    images = []
    for one in chosen:
        try:
            images.append(_line(one, ids[one.image], kept, first, second, out))
        except FileError as error:
            notes.append(f"Not in the gallery: {ids[one.image]}: {error}.")
    return Gallery(images, notes)


def _choosable(kept: Sequence[KeptPictures]) -> tuple[list[str], list[str]]:
    """Return the ids of the images that can be shown, and a note if these are not all."""
    every = kept[0].counts.ids
    ids = [id for id in every if any(one.shows(id) for one in kept) and all(one.predicts(id) for one in kept)]
    if len(ids) == len(every):
        return ids, []
    reason = next(reason for one in kept if (reason := one.no_network or one.no_data))
    some = f"{len(ids)} of {plural(len(every), 'image')}"
    return ids, [f"The gallery chooses from the {some} that runs kept: {reason}."]


def _readable(shown: Sequence[Shown]) -> tuple[list[KeptPictures], list[str]]:
    """Return the configurations whose counts can be read and are of the first one's images, and the rest."""
    found: list[KeptPictures] = []
    notes = []
    for one in shown:
        try:
            counts = Counts.load(one.run.tests / one.test)
        except DataError as error:
            notes.append(f"Not in the gallery: {one.title}: {error}.")
            continue
        if found and sorted(counts.ids) != sorted(found[0].counts.ids):
            notes.append(f"Not in the gallery: {one.title}, tested on other images.")
            continue
        found.append(KeptPictures(one.title, one.run, one.test, counts))
    return found, notes


def _line(
    one: Striking, id: str, kept: Sequence[KeptPictures], first: int, second: int, out: Path
) -> dict[str, Any]:
    """Write the tiles of one image and return its line of the gallery."""
    name = re.sub(r"[^\w.-]", "_", id)
    source = next(each.picture(id) for each in kept if each.shows(id))
    predictions = [each.prediction(id) for each in kept]
    tiles = [
        ("image", f"{name}-image.jpg", Image.fromarray(source.image)),
        ("truth", f"{name}-truth.png", palette_image(source.truth, source.palette)),
    ]
    tiles += [
        (each.title, f"{name}-{each.run.id}-{each.test}.png", palette_image(prediction, source.palette))
        for each, prediction in zip(kept, predictions, strict=True)
    ]
    runs = "-".join(dict.fromkeys((kept[first].run.id, kept[second].run.id)))
    map = agreement(source.truth, predictions[first], predictions[second])
    white = np.full((256, 3), 255, np.uint8)
    white[: len(AGREEMENT)] = AGREEMENT
    where = Image.fromarray(map)
    where.putpalette(white.tobytes())  # what is not counted is white, as the page
    tiles.append((legend(kept[first].title, kept[second].title), f"{name}-{runs}-where.png", where))
    for _, file, image in tiles:
        _save(image, out / "pictures" / file)
    named = [{"title": title, "src": f"pictures/{file}"} for title, file, _ in tiles]
    return {"image": id, "why": one.why, "tiles": named}


def legend(first: str, second: str) -> str:
    """Return what the colours of an agreement map mean, if `second` is another one than `first`."""
    if first == second:
        return "right: grey, wrong: black"
    return f"right: both grey, only {first} blue, only {second} orange, neither black"


def agreement(truth: Map, first: Map, second: Map) -> Map:
    """Return [H, W]: 0 both are right, 1 only the first, 2 only the second, 3 neither, 255 not counted."""
    found = np.where(first == truth, 0, 2) + np.where(second == truth, 0, 1)
    return np.where(truth == IGNORE_INDEX, IGNORE_INDEX, np.array([0, 1, 2, 3])[found]).astype(np.uint8)


def _save(image: Image.Image, path: Path) -> None:
    """Write a picture, made smaller if it is large; classes are never mixed."""
    scale = min(1.0, LONGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    nearest = image.mode == "P"
    image = image.resize(size, Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **({"optimize": True} if nearest else {"quality": 85}))
    except OSError as error:
        raise cannot_write(path, error) from error
