"""Weights & Biases as a tracker.

wandb is told what metrics.csv and validation.csv say, one row a step, in order and each step once: a step's
figures are held back until the next one begins. What wandb lost in a kill is told again from these files.
"""

import hashlib
import netrc
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsweep.errors import ConfigError
from segsweep.runs.layout import STEPS, VALIDATION
from segsweep.training.metrics_file import MetricsFile
from segsweep.training.trackers import NoTracker, RunInfo
from segsweep.training.wandb_files import last_step

IOU = "iou/"
MODES = ("auto", "online", "offline")
SERVICE = "WANDB_SERVICE"
"""Where wandb tells child processes of its service; the pid of the process that it belongs to is in it."""
NOT_IN_A_PROJECT = "/\\#?%:"
LONGEST_TAG, LONGEST_NAME = 64, 128
"""Characters that wandb takes of each."""


@dataclass
class WandbTracker(NoTracker):
    """Weights & Biases: group = sweep, job_type = stage, tags and name = what tells a run from its sweep's.

    Offline unless the user is logged in or asks (`mode`: auto, online or offline).

    Raises:
        ConfigError: another mode, or a project name that wandb does not take.
    """

    project: str = "segsweep"
    mode: str = "auto"
    pictures: int = 4
    _step: int = field(default=-1, init=False, repr=False)
    _held: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """What has been told of `_step`."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"logger.mode={self.mode}: expected auto, online or offline")
        if not 0 < len(self.project) <= LONGEST_NAME or set(self.project) & set(NOT_IN_A_PROJECT):
            raise ConfigError(
                f"logger.project={self.project}: expected 1 to {LONGEST_NAME} characters, none of them "
                f"{' '.join(NOT_IN_A_PROJECT)}"
            )

    def start(self, run: RunInfo, step: int) -> None:
        """Open, or go on with, the wandb run of the same id, and tell it what it lacks up to now."""
        if f"-{os.getpid()}-" not in os.environ.get(SERVICE, ""):
            # The service of the process that started this one: there a killed run counts as in use for good.
            os.environ.pop(SERVICE, None)
        import wandb

        online = self.mode == "online" or (self.mode == "auto" and logged_in())
        there = last_step(run.folder)
        self.wandb, self.labels = wandb, dict(enumerate(run.classes))
        self.run = wandb.init(
            project=self.project,
            id=run.id,
            name=cut(run.name, LONGEST_NAME),
            group=None if run.group is None else cut(run.group, LONGEST_NAME),
            job_type=run.job_type,
            tags=list(dict.fromkeys(cut(tag, LONGEST_TAG) for tag in run.tags)),
            config=dict(run.config),
            dir=run.folder,
            mode="online" if online else "offline",
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")
        # The server knows by itself what it has; offline the files say.
        self._first = self.run.starting_step if online else there + 1
        for known, figures in sorted(recorded(run.folder).items()):
            self._tell(known, figures)

    def log(self, row: Mapping[str, float | int | None]) -> None:
        """Tell of a row of metrics.csv."""
        self._tell(int(row["step"] or 0), {name: v for name, v in row.items() if v is not None})

    def validated(self, step: int, iou: NDArray[np.float64]) -> None:
        """Tell of the IoU of each class under iou/<class>."""
        self._tell(step, {IOU + self.labels[i]: float(v) for i, v in enumerate(iou) if not np.isnan(v)})

    def picture(
        self, step: int, name: str, image: NDArray[np.uint8], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> None:
        """Tell of the image with truth and prediction as masks."""
        masks = {
            kind: {"mask_data": data, "class_labels": self.labels}
            for kind, data in (("truth", truth), ("prediction", prediction))
        }
        self._tell(step, {f"validation/{name}": self.wandb.Image(image, masks=masks)})

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary and close the run."""
        self._release()
        self.run.summary.update(dict(summary))
        self.run.finish()

    def _tell(self, step: int, figures: Mapping[str, Any]) -> None:
        if step < self._first:
            return
        if step != self._step:
            self._release()
        self._step = step
        self._held |= {"step": step, **figures}

    def _release(self) -> None:
        """Give wandb the row of a step of which no more is to come."""
        if self._held:
            self.run.log(self._held, step=self._step, commit=True)
        self._held = {}


def recorded(folder: Path) -> dict[int, dict[str, float]]:
    """What a run's files say, by step, under wandb's names."""
    rows: dict[int, dict[str, float]] = defaultdict(dict)
    for name, prefix in ((STEPS, ""), (VALIDATION, IOU)):
        for row in MetricsFile.read(folder / name):
            step = int(row.pop("step"))
            rows[step] |= {prefix + key: value for key, value in row.items()}
    return rows


def cut(text: str, length: int) -> str:
    """The text at no more than so many characters; two that begin alike stay two."""
    mark = hashlib.sha256(text.encode()).hexdigest()[:6]
    return text if len(text) <= length else f"{text[: length - len(mark) - 1]}…{mark}"


def logged_in() -> bool:
    """Whether a wandb key is at hand, in the environment or the user's netrc; the network is not asked."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts: Sequence[str] = list(netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)
