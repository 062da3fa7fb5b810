"""The pictures of one tested configuration: those that its run kept, else computed from its checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.labels import Palette
from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DamagedFileError, UserError
from segsweep.evaluation.counts import Counts
from segsweep.reports.pictures.trained import TrainedRun
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder

Map = NDArray[np.uint8]
IMAGE, TRUTH = "image.jpg", "truth.png"


class Picture(NamedTuple):
    """An image [H, W, 3] with its truth [H, W] and the classes' colours."""

    image: Map
    truth: Map
    palette: Palette


@dataclass(frozen=True)
class KeptPictures:
    """Pictures of one test of a run, by the images' ids."""

    title: str
    run: RunFolder
    test: str
    counts: Counts

    def region(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return tp, fp and fn [3, N, K] of some images, in this order."""
        places = {id: index for index, id in enumerate(self.counts.ids)}
        return self.counts.region[:, [places[id] for id in ids]]

    @cached_property
    def _trained(self) -> TrainedRun:
        return TrainedRun.as_tested(self.run, self.test)

    @cached_property
    def no_data(self) -> str | None:
        """Why images cannot be read; None if they can."""
        try:
            self._trained.samples.check()
        except UserError as error:
            return str(error)
        return None

    @cached_property
    def no_network(self) -> str | None:
        """Why no prediction can be computed; None if it can."""
        try:
            return self.no_data if self._trained.checkpoint else None
        except UserError as error:
            return str(error)

    def shows(self, id: str) -> bool:
        """Whether an image can be shown with its truth."""
        return self.no_data is None or (self._folder(id) / TRUTH).is_file()

    def keeps(self, id: str) -> bool:
        """Whether the prediction of an image is kept."""
        return self._file(id) is not None

    def predicts(self, id: str) -> bool:
        """Whether the prediction of an image can be shown."""
        return self.no_network is None or self.keeps(id)

    def picture(self, id: str) -> Picture:
        """Return an image that it `shows`.

        Raises:
            FileError: a file is damaged.
        """
        folder = self._folder(id)
        if (folder / TRUTH).is_file():
            (image, _), (truth, palette) = _read(folder / IMAGE), _read(folder / TRUTH)
            return Picture(image, truth, palette)
        sample = self._trained.sample(id)
        return Picture(sample.image, sample.label, self._trained.dataset.palette)

    def prediction(self, id: str) -> Map:
        """Return the classes [H, W] of an image that it `predicts`.

        Raises:
            FileError: a file is damaged.
        """
        file = self._file(id)
        return self._trained.predict(self._trained.sample(id).image) if file is None else _read(file)[0]

    def _folder(self, id: str) -> Path:
        return self.run.path / layout.PICTURES / id.replace("/", "_")

    def _file(self, id: str) -> Path | None:
        """Return where the prediction of an image is kept, if it is."""
        places = (
            self._folder(id) / f"{self.test}.png",
            self.run.path / layout.PREDICTIONS / self.test / f"{id}.png",
        )
        return next((path for path in places if path.is_file()), None)


def _read(path: Path) -> tuple[Map, Palette]:
    """Return the content of a kept picture, and the colours of its values if it has a palette."""
    try:
        with Image.open(path) as image:
            colours = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)[:IGNORE_INDEX]
            return np.array(image), [(int(r), int(g), int(b)) for r, g, b in colours]
    except (OSError, ValueError, SyntaxError) as error:  # of PNG chunks
        raise DamagedFileError(path, f"damaged ({error})", "test the run again") from error
