"""Weights & Biases as a service of a run's logger, and a reader for its offline files.

wandb writes its files in another process, some seconds late: they lack the last rows before a kill. A resumed
offline run reads in them which rows are missing.
"""

import hashlib
import netrc
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from segsweep.errors import ConfigError
from segsweep.training.loggers import LoggerOptions, Picture, RunInfo, Service

MODES = ("auto", "online", "offline")
SERVICE = "WANDB_SERVICE"
"""Variable in which wandb passes its service to child processes; it contains the owner's pid."""
NOT_IN_A_PROJECT = "/\\#?%:"
LONGEST_TAG, LONGEST_NAME = 64, 128  # characters that wandb accepts


class Wandb(Service):
    """Weights & Biases: group = sweep, job_type = stage, tags and name = the run's place in its sweep.

    The wandb run has our run's id, so that resuming continues it. `mode` is auto (online if the user is
    logged in), online or offline.

    Raises:
        ConfigError: the mode is unknown, or wandb does not allow the project name.
    """

    shows_pictures = True

    def __init__(self, options: LoggerOptions) -> None:
        super().__init__(options)
        if options.mode not in MODES:
            raise ConfigError(f"logger.mode={options.mode}: expected auto, online or offline")
        if not 0 < len(options.project) <= LONGEST_NAME or set(options.project) & set(NOT_IN_A_PROJECT):
            raise ConfigError(
                f"logger.project={options.project}: expected 1 to {LONGEST_NAME} characters, none of them "
                f"{' '.join(NOT_IN_A_PROJECT)}"
            )

    def open(self, run: RunInfo) -> int:
        """Open or continue the wandb run of the same id."""
        if f"-{os.getpid()}-" not in os.environ.get(SERVICE, ""):
            # The service of a parent process, which would consider a killed run to be in use forever.
            os.environ.pop(SERVICE, None)
        import wandb

        online = self.options.mode == "online" or (self.options.mode == "auto" and logged_in())
        known = last_step(run.folder)
        self.labels = dict(enumerate(run.classes))
        self.run = wandb.init(
            project=self.options.project,
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
        self.logger = StepLogger(experiment=self.run)
        # Online the server knows the last step; offline the files do.
        return int(self.run.starting_step) if online else known + 1

    def log(self, step: int, figures: Mapping[str, float], pictures: Sequence[Picture]) -> None:
        """Log a row with its pictures: images with truth and prediction as masks."""
        import wandb

        row: dict[str, Any] = dict(figures)
        for one in pictures:
            masks = {
                kind: {"mask_data": labels, "class_labels": self.labels}
                for kind, labels in (("truth", one.truth), ("prediction", one.prediction))
            }
            row[f"validation/{one.name}"] = wandb.Image(one.image, masks=masks)
        super().log(step, row, ())

    def finish(self, step: int, summary: Mapping[str, float]) -> None:
        """Write the summary and close the run."""
        self.run.summary.update(dict(summary))
        self.run.finish()


class StepLogger(WandbLogger):
    """Lightning's logger with the optimizer step as wandb's step, which otherwise counts rows."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row and close its step."""
        self.experiment.log(dict(metrics), step=step, commit=True)


def cut(text: str, length: int) -> str:
    """Return the text cut to `length` characters; a hash keeps texts with a common beginning distinct."""
    mark = hashlib.sha256(text.encode()).hexdigest()[:6]
    return text if len(text) <= length else f"{text[: length - len(mark) - 1]}…{mark}"


def logged_in() -> bool:
    """Return whether the environment or the user's netrc has a wandb key, without network access."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts: Sequence[str] = list(netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in hosts)


BLOCK, HEADER = 32768, 7
PART = struct.Struct("<IHB")  # header of each part of a record: checksum (4 bytes), length (2), kind (1)
NOTHING, WHOLE, LAST = 0, 1, 4  # kinds of parts; 2 and 3 are first and middle parts


def last_step(folder: Path) -> int:
    """Return the last step in the offline files of a run folder; -1 if there is none."""
    files = folder.glob("wandb/offline-run-*/run-*.wandb")
    return max((step for file in files for step in _steps(file)), default=-1)


def _steps(file: Path) -> Iterator[int]:
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    for content in _records(file.read_bytes()):
        record: Any = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        try:
            record.ParseFromString(content)
        except DecodeError:
            return  # damaged, as by a power cut: no reader gets further
        if record.WhichOneof("record_type") == "history":
            yield int(record.history.step.num)


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of each whole record.

    A file is a log in blocks of 32 KiB after a header of 7 bytes. A record is a protocol buffer, whole or in
    parts, none of which crosses a block.
    """
    position, content = HEADER, b""
    while position + PART.size <= len(data):
        left = BLOCK - position % BLOCK
        _, length, kind = PART.unpack_from(data, position)
        if left < PART.size or kind == NOTHING:
            position += left
            continue
        content += data[position + PART.size : position + PART.size + length]
        position += PART.size + length
        if kind in (WHOLE, LAST) and position <= len(data):
            yield content
            content = b""
