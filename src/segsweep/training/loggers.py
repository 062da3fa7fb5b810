"""Loggers of a run besides metrics.csv and validation.csv, which every run has.

`logger=wandb`, `logger=[tensorboard,mlflow]`: Lightning's loggers behind one adapter. RunLogger adds what
they lack for a run that may be killed at any moment and resumed from a checkpoint: steps only grow, every row
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
from segsweep.training.results import Picture, Results

IOU = "iou/"

log = logging.getLogger("segsweep")


@dataclass(frozen=True)
class RunInfo:
    """What a logger needs to know about its run."""

    id: str
    folder: Path
    name: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    palette: Palette


@dataclass(frozen=True)
class LoggerOptions:
    """The options of the `logger` group, shared by all services; each uses those that concern it."""

    project: str
    mode: str  # for wandb: offline, online or auto
    uri: str | None  # for MLflow: the tracking server or database
    pictures: int  # validation images to show at each validation


class Service:
    """One of Lightning's loggers, as RunLogger uses it.

    A subclass implements `open`, which sets `logger`; the other methods work with any of Lightning's loggers.
    """

    logger: Any  # one of pytorch_lightning.loggers
    shows_pictures = False

    def __init__(self, options: LoggerOptions) -> None:
        """Check the options before anything is trained."""
        self.options = options

    def open(self, run: RunInfo) -> int:
        """Open or continue the run; return the first step whose row it lacks."""
        raise NotImplementedError

    def log(self, step: int, figures: Mapping[str, float], pictures: Sequence[Picture]) -> None:
        """Log all figures of a step; the last one is `step`, which marks a row as complete."""
        self.logger.log_metrics(dict(figures), step)

    def finish(self, step: int, results: Results) -> None:
        """Log the results of a trained and tested run, here its figures, and close it."""
        self.log(step, results.figures, ())
        self.logger.finalize("success")


class RunLogger:
    """The services that a run logs to, if any.

    They receive the contents of metrics.csv and validation.csv as one row per step: a step's figures are held
    back until the next step. Rows that a service lost in a kill are logged again from these files. If a
    service fails, one line is logged and the run continues without that service.

    Args:
        services: classes of services (or partial calls of them) by name.
        project, mode, uri, pictures: see LoggerOptions.

    Raises:
        ConfigError: an option is invalid for a service, or its package is not installed.
    """

    def __init__(
        self,
        services: Mapping[str, Callable[[LoggerOptions], Service]] | None = None,
        project: str = "segsweep",
        mode: str = "offline",
        uri: str | None = None,
        pictures: int = 0,
    ) -> None:
        self.options = LoggerOptions(project, mode, uri, pictures)
        self.services = {name: make(self.options) for name, make in (services or {}).items()}
        self.first: dict[str, int] = {}
        """The first step that each service lacks."""
        self.started = False
        self.step, self.figures = 0, dict[str, float]()
        """The figures that are held back, and their step."""
        self.shown: list[Picture] = []

    @property
    def pictures(self) -> int:
        """Number of validation images to show."""
        shown = any(service.shows_pictures for service in self.services.values())
        return self.options.pictures if shown else 0

    def start(self, run: RunInfo) -> None:
        """Open or continue the run, once; its files must end with the rows of its checkpoint."""
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

    def finish(self, results: Results) -> None:
        """Close the trained and tested run with its results."""
        self._release()
        for name, service in [*self.services.items()]:
            with self._without_if_it_fails(name):
                service.finish(self.step, results)

    def _hold(self, step: int, figures: Mapping[str, float]) -> None:
        if step != self.step:
            self._release()
        self.step = step
        self.figures |= figures

    def _release(self) -> None:
        """Log the row of a complete step to the services that lack it."""
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
        except Exception as error:  # third-party code may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            kept = "the run goes on without it, and keeps metrics.csv and validation.csv"
            log.warning(f"{name}: {reason}; {kept}")
            log.debug("the error of the logger", exc_info=True)
            del self.services[name]


def recorded(folder: Path) -> dict[int, dict[str, float]]:
    """Return the rows of a run's files by step, under the names of `RunLogger`."""
    rows: dict[int, dict[str, float]] = defaultdict(dict)
    for name, prefix in ((STEPS, ""), (VALIDATION, IOU)):
        for row in MetricsFile.read(folder / name):
            step = int(row.pop("step"))
            rows[step] |= {prefix + key: value for key, value in row.items()}
    return rows
