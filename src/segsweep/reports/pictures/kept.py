"""The pictures of one tested configuration: those that its run kept, else computed from its checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsweep.data.labels import Palette
from segsweep.errors import UserError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.predictions import IMAGE, TRUTH, picture_folder, read_picture
from segsweep.reports.pictures.trained_run import TrainedRun
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder

Map = NDArray[np.uint8]


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
        return self.no_data is None or (self._folder(id) / f"{TRUTH}.png").is_file()

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
        if (file := folder / f"{TRUTH}.png").is_file():
            (image, _), (truth, palette) = read_picture(folder / IMAGE), read_picture(file)
            return Picture(image, truth, palette)
        sample = self._trained.sample(id)
        return Picture(sample.image, sample.label, self._trained.dataset.palette)

    def prediction(self, id: str) -> Map:
        """Return the classes [H, W] of an image that it `predicts`.

        Raises:
            FileError: a file is damaged.
        """
        file = self._file(id)
        return (
            self._trained.predict(self._trained.sample(id).image) if file is None else read_picture(file)[0]
        )

    def _folder(self, id: str) -> Path:
        return picture_folder(self.run.path / layout.PICTURES, id)

    def _file(self, id: str) -> Path | None:
        """Return where the prediction of an image is kept, if it is."""
        places = (
            self._folder(id) / f"{self.test}.png",
            self.run.path / layout.PREDICTIONS / self.test / f"{id}.png",
        )
        return next((path for path in places if path.is_file()), None)
