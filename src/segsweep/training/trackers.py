"""Where a run's numbers go beside the files that every run keeps, metrics.csv and validation.csv.

A tracker is told of rows, validation pictures and final figures as they come. `step` always counts the
optimizer steps finished. Rows may come again after a resume, with the values that they had.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("segsweep")


@dataclass(frozen=True)
class RunInfo:
    """What a tracker needs to know of its run."""

    id: str
    folder: Path
    name: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    classes: tuple[str, ...]


class NoTracker:
    """A tracker that keeps nothing; the base of the others."""

    pictures = 0
    """Validation images that it wants to be shown."""

    def start(self, run: RunInfo, step: int) -> None:
        """Begin the run, or go on with it after `step`: the run's files have no later rows."""

    def log(self, row: Mapping[str, float | int | None]) -> None:
        """Take a row of metrics.csv."""

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """Take the IoU of each class [K] at a validation; NaN for an absent class."""

    def picture(
        self, step: int, name: str, image: NDArray[np.uint8], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> None:
        """Take one validation image [H, W, 3] with its label maps [H, W]."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """End the run, which is trained and tested, with its final figures."""


class Guarded(NoTracker):
    """A tracker whose errors end no training: the first is told in a line, and the tracker left aside."""

    def __init__(self, tracker: NoTracker) -> None:
        self.tracker, self.started = tracker, False
        self.pictures = tracker.pictures

    def start(self, run: RunInfo, step: int) -> None:
        """Start the tracker, unless it is started."""
        if not self.started:
            self.started = True
            self._have(lambda tracker: tracker.start(run, step))

    def log(self, row: Mapping[str, float | int | None]) -> None:
        """Pass on a row."""
        self._have(lambda tracker: tracker.log(row))

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """Pass on a validation."""
        self._have(lambda tracker: tracker.validated(step, iou))

    def picture(
        self, step: int, name: str, image: NDArray[np.uint8], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> None:
        """Pass on a picture."""
        self._have(lambda tracker: tracker.picture(step, name, image, truth, prediction))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Pass on the end."""
        self._have(lambda tracker: tracker.finish(summary))

    def _have(self, act: Callable[[NoTracker], None]) -> None:
        try:
            act(self.tracker)
        except Exception as error:  # a tracker is other people's code, and may raise anything
            name, reason = type(self.tracker).__name__, (str(error).splitlines() or [type(error).__name__])[0]
            log.warning(
                f"{name}: {reason}; the run goes on without it, and keeps metrics.csv and validation.csv"
            )
            log.debug("the tracker's error", exc_info=True)
            self.tracker, self.pictures = NoTracker(), 0
