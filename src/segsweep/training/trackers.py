"""Where a run's numbers go, beside the metrics.csv that every run keeps.

A tracker is told of rows, validation pictures and final figures as they come. `step` always counts the
optimizer steps finished. Rows may come again after a resume; each tracker takes the last.
"""

import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import ConfigError
from segsweep.training.metrics_file import MetricsFile


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

    def start(self, run: RunInfo, step: int) -> None:
        """The run begins, or goes on, after `step`."""

    def log(self, row: Mapping[str, float | int | None]) -> None:
        """A row of metrics.csv."""

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """IoU of each class [K] at a validation; NaN for an absent class."""

    def picture(
        self, step: int, name: str, image: NDArray[np.uint8], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> None:
        """One validation image [H, W, 3] with its label maps [H, W]."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The run is done; its best and final figures."""


class CsvTracker(NoTracker):
    """validation.csv: one row a validation, one column a class."""

    def start(self, run: RunInfo, step: int) -> None:
        """Open the file and forget rows behind `step`."""
        self.file = MetricsFile(run.folder / "validation.csv", ("step", *run.classes))
        self.file.rewind(step)
        self.classes = run.classes

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """Append the row; an absent class stays empty."""
        values = {name: None if np.isnan(v) else float(v) for name, v in zip(self.classes, iou, strict=True)}
        self.file.append({"step": step, **values})


@dataclass
class WandbTracker(NoTracker):
    """Weights & Biases: group = sweep, job_type = stage, tags = axes.

    Offline unless the user is logged in or asks (`mode`: auto, online or offline).

    Raises:
        ConfigError: another mode.
    """

    project: str = "segsweep"
    mode: str = "auto"
    pictures: int = 4
    _pending: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "online", "offline"):
            raise ConfigError(f"logger.mode={self.mode}: expected auto, online or offline")

    def start(self, run: RunInfo, step: int) -> None:
        """Open, or go on with, the wandb run of the same id."""
        import wandb

        self.wandb, self.labels = wandb, dict(enumerate(run.classes))
        self.run = wandb.init(
            project=self.project,
            id=run.id,
            name=run.name,
            group=run.group,
            job_type=run.job_type,
            tags=list(run.tags),
            config=dict(run.config),
            dir=run.folder,
            mode="online" if self.mode == "online" or (self.mode == "auto" and logged_in()) else "offline",
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
        # After a resume, steps repeat: our own step is the axis, not wandb's counter.
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")

    def log(self, row: Mapping[str, float | int | None]) -> None:
        """One history record."""
        self.run.log({name: value for name, value in row.items() if value is not None})

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """IoU of each class under iou/<class>."""
        values = {f"iou/{self.labels[i]}": float(v) for i, v in enumerate(iou) if not np.isnan(v)}
        self.run.log({"step": step, **values})

    def picture(
        self, step: int, name: str, image: NDArray[np.uint8], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> None:
        """The image with truth and prediction as masks."""
        masks = {
            kind: {"mask_data": data, "class_labels": self.labels}
            for kind, data in (("truth", truth), ("prediction", prediction))
        }
        self.run.log({"step": step, f"validation/{name}": self.wandb.Image(image, masks=masks)})

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary and close the run."""
        self.run.summary.update(dict(summary))
        self.run.finish()


def logged_in() -> bool:
    """Whether a wandb key is at hand, in the environment or the user's netrc; the network is not asked."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts: Sequence[str] = list(netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
