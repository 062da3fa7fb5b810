"""Where a run's figures go besides metrics.csv and validation.csv, which every run keeps.

`logger=wandb`, `logger=[tensorboard,mlflow]`: Lightning's loggers, behind one adapter. RunLogger adds what
they lack for a run that may be killed at any moment and goes on from a checkpoint: steps only grow, every row
is logged once, and an error of a service does not end the training.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.data.labels import Palette
from segsweep.runs.layout import STEPS, VALIDATION
from segsweep.training.metrics_file import MetricsFile

IOU = "iou/"

log = logging.getLogger("segsweep")


@dataclass(frozen=True)
class RunInfo:
    """What a logger needs to know of its run."""

    id: str
    folder: Path
    name: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    palette: Palette = ()


@dataclass(frozen=True)
class Picture:
    """A validation image [H, W, 3] with its true and predicted label maps [H, W]."""

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[Any]
    prediction: NDArray[Any]


@dataclass(frozen=True)
class LoggerOptions:
    """The options of the `logger` group, which its services share: each takes what it has a use for."""

    project: str
    mode: str
    """Of wandb: auto, online or offline."""
    uri: str | None
    """Of MLflow: where runs are tracked."""
    pictures: int
    """Validation images to show at each validation."""


class Service:
    """One of Lightning's loggers, and what RunLogger has to know of it.

    A subclass implements `open`, which sets `logger`; the rest works with any of Lightning's loggers.
    """

    logger: Any
    """One of pytorch_lightning.loggers."""
    shows_pictures = False

    def __init__(self, options: LoggerOptions) -> None:
        """Check what can be checked before anything is trained."""
        self.options = options

    def open(self, run: RunInfo) -> int:
        """Open the run, or go on with it; return the first step whose row it does not have."""
        raise NotImplementedError

    def log(self, step: int, figures: Mapping[str, float], pictures: Sequence[Picture]) -> None:
        """Log all that there is of a step; the last figure is `step`: a row that has it is complete."""
        self.logger.log_metrics(dict(figures), step)

    def finish(self, step: int, summary: Mapping[str, float]) -> None:
        """Log the final figures of a run that is trained and tested, and close it."""
        self.logger.log_metrics(dict(summary), step)
        self.logger.finalize("success")


class RunLogger:
    """The services that a run logs to; there may be none.

    They are told what metrics.csv and validation.csv say, one row a step: the figures of a step are held back
    until the next step begins. What a service lost in a kill it is told again from these files. An error of a
    service is reported in one line, and the run goes on without that service.

    Args:
        services: classes of services (or partial calls of them) by name.
        project, mode, uri, pictures: see LoggerOptions.

    Raises:
        ConfigError: an option that a service does not take, or a package that it needs is not installed.
    """

    def __init__(
        self,
        services: Mapping[str, Callable[[LoggerOptions], Service]] | None = None,
        project: str = "segsweep",
        mode: str = "auto",
        uri: str | None = None,
        pictures: int = 0,
    ) -> None:
        self.options = LoggerOptions(project, mode, uri, pictures)
        self.services = {name: make(self.options) for name, make in (services or {}).items()}
        self.first: dict[str, int] = {}
        """The first step that each service lacks."""
        self.started = False
        self.step, self.figures = 0, dict[str, float]()
        """What is held back, and of which step."""
        self.shown: list[Picture] = []

    @property
    def pictures(self) -> int:
        """Number of validation images to show."""
        shown = any(service.shows_pictures for service in self.services.values())
        return self.options.pictures if shown else 0

    def start(self, run: RunInfo) -> None:
        """Open the run, or go on with it, unless that is done; its files end with its checkpoint's rows."""
        if self.started:
            return
        self.started, self.classes = True, run.classes
        self.first = {}
        for name, service in [*self.services.items()]:
            with self._without_if_it_fails(name):
                self.first[name] = service.open(run)
        for step, figures in sorted(recorded(run.folder).items()):
            self._hold(step, figures)

    def log(self, row: Mapping[str, float | int | None]) -> None:
        """Take a row of metrics.csv."""
        figures = {name: value for name, value in row.items() if name != "step" and value is not None}
        self._hold(int(row["step"] or 0), figures)

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """Take the IoU of each class [K] at a validation; NaN for an absent class."""
        self._hold(step, {IOU + self.classes[i]: float(v) for i, v in enumerate(iou) if not math.isnan(v)})

    def show(self, step: int, picture: Picture) -> None:
        """Take a validation image."""
        self._hold(step, {})
        self.shown.append(picture)

    def finish(self, summary: Mapping[str, float]) -> None:
        """End the run, which is trained and tested, with its final figures."""
        self._release()
        for name, service in [*self.services.items()]:
            with self._without_if_it_fails(name):
                service.finish(self.step, summary)

    def _hold(self, step: int, figures: Mapping[str, float]) -> None:
        if step != self.step:
            self._release()
        self.step = step
        self.figures |= figures

    def _release(self) -> None:
        """Give services the row of a step that is complete, unless they have it."""
        if self.figures:
            row = {**self.figures, "step": self.step}
            for name, service in [*self.services.items()]:
                if self.step >= self.first[name]:
                    with self._without_if_it_fails(name):
                        service.log(self.step, row, self.shown)
        self.figures, self.shown = {}, []

    @contextmanager
    def _without_if_it_fails(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a service is other people's code, and may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning(
                f"{name}: {reason}; the run goes on without it, and keeps metrics.csv and validation.csv"
            )
            log.debug("the error of the logger", exc_info=True)
            del self.services[name]


def recorded(folder: Path) -> dict[int, dict[str, float]]:
    """Return what the files of a run say, by step, under the names of `RunLogger`."""
    rows: dict[int, dict[str, float]] = defaultdict(dict)
    for name, prefix in ((STEPS, ""), (VALIDATION, IOU)):
        for row in MetricsFile.read(folder / name):
            step = int(row.pop("step"))
            rows[step] |= {prefix + key: value for key, value in row.items()}
    return rows
