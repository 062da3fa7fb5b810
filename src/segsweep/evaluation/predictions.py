"""What is kept of predictions: a few pictures, or all of a split as a folder of PNG files or an archive.

The predictions of a strategy are written image by image into a draft beside their place, packed if an archive
is asked for, read back and compared with what the benchmark takes, and only then put in place: a folder or
archive under its own name is complete. Memory grows with the images' names and sizes only.

Nothing here knows a benchmark: its rules are a `Submission`, which its dataset states. Letters: `K` classes,
`H`, `W` an image.
"""

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.dataset import Submission
from segsweep.data.labels import Palette, label_png, palette_image
from segsweep.data.sample import IGNORE_INDEX, Sample
from segsweep.errors import DamagedFileError, DataError, OptionError, UserError
from segsweep.evaluation.submission import Size, check, pack
from segsweep.files import fsync, remove

IMAGE, TRUTH = "image.jpg", "truth"
"""In a folder of pictures, the image's file and the name of the true label map, beside the tests' names."""


def prediction_form(kind: str, submission: Submission | None, num_classes: int) -> Submission:
    """How predictions are stored: `png`, a folder of class indices 0..K−1, or as the dataset's `submission`.

    Raises:
        OptionError: there is no such form, or the dataset has no submission.
    """
    if kind == "png":
        return Submission("", "{id}.png", {index: index for index in range(num_classes)}, palette=True)
    if kind != "submission":
        raise OptionError("predictions", kind, "null, png or submission")
    if submission is None:
        problem = "the dataset has no benchmark that takes any"
        raise OptionError("predictions", kind, problem=problem, remedy="give predictions=png")
    return submission


class PredictionWriter(AbstractContextManager["PredictionWriter"]):
    """Keeps one strategy's prediction of every image of a split. Called by `evaluate` with each image.

    Use it in a `with`, and call `finish` after all images; without that, nothing stays. Several ranks write
    into one draft, which they know by the `token` of this pass: the `first` makes it before any of them
    writes, learns what the others `stored`, finishes, and removes the draft.

    Args:
        folder: where the test's predictions go, under `name` and the archive's suffix.
        name: of the test.
        strategy: name of the strategy whose predictions are taken.
        ids: of all images of the split.
        form: how predictions are stored.
        palette: the dataset's colours, one a class.
        first: whether this process makes the draft and removes it.
        token: distinguishes the draft from those of other passes, killed or not.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        strategy: str,
        ids: Iterable[str],
        form: Submission,
        palette: Palette,
        first: bool = True,
        token: str = "",
    ) -> None:
        self.target = folder / (f"{name}.{form.archive}" if form.archive else name)
        # A leading dot marks what is not complete, in case a killed process leaves it behind.
        self.draft, self.packed = (
            folder / f".{self.target.name}.{token}{part}" for part in ("draft", "packed")
        )
        self.strategy, self.form, self.first = strategy, form, first
        self.sizes: dict[str, Size | None] = dict.fromkeys(map(str, ids))
        self.palette = stored_palette(form.values, palette) if form.palette else None
        self._values = np.full(256, -1, np.int16)
        self._values[list(form.values)] = list(form.values.values())

    def __enter__(self) -> "PredictionWriter":
        if self.first:
            with _disk(self.target):
                for part in ("draft", "packed"):  # no process continues an older draft
                    for path in self.target.parent.glob(f".{glob.escape(self.target.name)}.*{part}"):
                        remove(path)
                self.draft.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.first:
            for path in (self.draft, self.packed):
                remove(path)

    def __call__(self, sample: Sample, predictions: Mapping[str, NDArray[Any]]) -> None:
        """Store the strategy's prediction [H, W] of one image.

        Raises:
            DataError: the image is not of the size that the benchmark takes, or a class has no value there.
            UserError: the disk is full.
        """
        height, width = sample.image.shape[:2]
        self.sizes[sample.id] = self.form.size or (height, width)
        if self.sizes[sample.id] != (height, width):
            raise DataError(
                sample.id,
                f"image of {height}x{width} pixels (height x width), but the benchmark has "
                f"{'x'.join(map(str, self.form.size or ()))}",
                "restore the dataset's own image (a resized prediction would be another one)",
            )
        with _disk(self.target):
            path = self.draft / self.form.member.format(id=sample.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not written by Pillow, in which an error of the disk would lose its reason.
            stored = self._stored_values(sample.id, predictions[self.strategy])
            path.write_bytes(label_png(stored, self.palette))

    def stored(self) -> dict[str, Size]:
        """Return (H, W) of each image whose prediction this process has stored, by id."""
        return {id: size for id, size in self.sizes.items() if size is not None}

    def add_stored(self, stored: Mapping[str, Size]) -> None:
        """Take in what another rank has stored in the same draft."""
        self.sizes.update(stored)

    def _stored_values(self, id: str, prediction: NDArray[Any]) -> NDArray[np.uint8]:
        stored = self._values[prediction]
        if stored.size and stored.min() < 0:
            raise DataError(
                id,
                f"class {prediction[stored < 0][0]} has no value in the benchmark's files",
                f"expected 0 to {max(self.form.values)}, name one in the dataset's submission",
            )
        return np.asarray(stored, np.uint8)

    def finish(self, check_ours: Callable[[], None] = lambda: None) -> Path:
        """Pack, read back, check and put in place what was stored, replacing what was there before.

        `check_ours` is called before the predictions get their name and may raise.

        Raises:
            DataError: it is not what the benchmark takes: an image is missing, or a size or value is wrong.
            UserError: the disk is full.
        """
        with _disk(self.target):
            if self.form.archive:
                pack(self.draft, self.packed, self.form.archive)
            else:
                self.draft.rename(self.packed)
            check(self.packed, self.form, self.sizes, self.palette)
            for path in (self.packed, *self.packed.rglob("*")):
                fsync(path)
            check_ours()
            remove(self.target)
            self.packed.rename(self.target)
            fsync(self.target.parent)
        return self.target


def stored_palette(values: Mapping[int, int], palette: Palette) -> Palette:
    """The colours of stored values 0, 1, …: each class's colour at its value, black for other values."""
    colours = [(0, 0, 0)] * (1 + max(values.values()))
    for index, value in values.items():
        colours[value] = palette[index]
    return colours


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    """Turn an error of the disk into one that says what could not be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{target}: could not be written ({error.strerror or error}); free space, then give the "
            "same command again"
        ) from error


class PictureWriter:
    """Keeps `count` images, evenly spread over a split: image.jpg, truth.png and one PNG a test.

    A test is named by its strategy and `suffix`, as its folder is. Label maps are palette PNGs: their pixels
    are class indices, their colours the dataset's.
    """

    def __init__(
        self,
        folder: Path,
        ids: Sequence[str] | NDArray[np.str_],
        palette: Palette,
        suffix: str = "",
        count: int = 4,
    ) -> None:
        chosen = np.linspace(0, len(ids) - 1, num=min(count, len(ids))).round().astype(int)
        self.folder, self.palette, self.suffix = folder, palette, suffix
        self.chosen = {str(ids[i]) for i in chosen}

    def __call__(self, sample: Sample, predictions: Mapping[str, NDArray[Any]]) -> None:
        """Write the pictures of a sample if it is one of those chosen."""
        if sample.id not in self.chosen:
            return
        folder = picture_folder(self.folder, sample.id)
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / IMAGE]
        Image.fromarray(sample.image).save(written[0], quality=88)
        named = {name + self.suffix: prediction for name, prediction in predictions.items()}
        for name, label in {TRUTH: sample.label, **named}.items():
            written.append(folder / f"{name}.png")
            palette_image(label, self.palette).save(written[-1])
        for path in written:  # before the test's own files, which promise them
            fsync(path)


def picture_folder(pictures: Path, id: str) -> Path:
    """Return the folder of an image's pictures."""
    return pictures / id.replace("/", "_")


def read_picture(path: Path) -> tuple[NDArray[np.uint8], Palette]:
    """Return the pixels of a picture that a test kept, and the colours of its values if it has a palette.

    Raises:
        DamagedFileError: it is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            colours = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)[:IGNORE_INDEX]
            return np.array(image), [(int(r), int(g), int(b)) for r, g, b in colours]
    except (OSError, ValueError, SyntaxError) as error:  # of PNG chunks
        raise DamagedFileError(path, f"damaged ({error})", "test the run again") from error
