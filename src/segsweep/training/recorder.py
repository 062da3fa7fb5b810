"""What a run writes while it trains: rows of metrics, pictures, progress."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback

from segsweep.runs.layout import STEPS, VALIDATION
from segsweep.training.loggers import RunInfo, RunLogger
from segsweep.training.metrics_file import MetricsFile
from segsweep.training.results import Picture
from segsweep.training.task import SegmentationTask

log = logging.getLogger("segsweep")

COLUMNS = ("step", "epoch", "loss", "lr", "val_loss", "val_miou", "val_pixel_accuracy")


@dataclass(frozen=True)
class Progress:
    """Progress of a run: steps done, latest figures, images per second, seconds left."""

    step: int
    max_steps: int
    loss: float | None
    lr: float | None
    val_miou: float | None
    images_per_s: float
    seconds_left: float
    dropped: int  # batches dropped because their loss was not finite


class Recorder(Callback):
    """Writes metrics.csv and validation.csv, and passes figures to the logger and `on_progress`.

    A row's `loss` is the mean over the steps since the previous row. Its running sum is in the checkpoint, so
    that a resumed run writes the same rows as an uninterrupted one. The sum counts steps, of which each
    micro-batch is its share of labelled pixels, because a resumed run may have more micro-batches.
    `check` is called before anything is written and may raise. A sum of losses has a column for each of its
    `parts`: loss/dice.

    A checkpoint relies on the rows up to its step: it records how many there are, and is written when they
    are on disk.
    """

    def __init__(
        self,
        run: RunInfo,
        logger: RunLogger,
        train_images: int,
        batch_size: int,
        log_every: int,
        on_progress: Callable[[Progress], None],
        check: Callable[[], None],
        parts: Sequence[str] = (),
    ) -> None:
        self.run, self.logger, self.on_progress, self.check = run, logger, on_progress, check
        self.parts = tuple(f"loss/{name}" for name in parts)
        self.file = MetricsFile(run.folder / STEPS, (*COLUMNS, *self.parts))
        self.classes_file = MetricsFile(run.folder / VALIDATION, ("step", *run.classes))
        self.train_images, self.batch_size, self.log_every = train_images, batch_size, log_every
        self.loss_sum: Any = 0.0
        self.loss_count: Any = 0.0
        self.part_sums: Any = [0.0] * len(self.parts)
        self.dropped = 0
        self.best_miou: float | None = None
        self.rows: dict[str, int] | None = None
        """Rows of each file; None until known, as in a run that an older version began."""
        self.last: dict[str, float | None] = {"loss": None, "lr": None, "val_miou": None}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        state = {
            "loss_sum": float(self.loss_sum),
            "loss_count": float(self.loss_count),
            "dropped": self.dropped,
            "best_miou": self.best_miou,
            "rows": self.rows,
        }
        return {**state, "part_sums": [float(each) for each in self.part_sums]} if self.parts else state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.loss_sum, self.loss_count = state_dict["loss_sum"], state_dict["loss_count"]
        self.best_miou, self.dropped = state_dict["best_miou"], state_dict.get("dropped", 0)
        self.rows = state_dict.get("rows")
        self.part_sums = state_dict.get("part_sums", self.part_sums)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Truncate the files to the checkpoint's step and start the clock."""
        self.clock, self.first_step = time.monotonic(), trainer.global_step
        if trainer.is_global_zero:
            self.check()
            self._rewind(trainer.global_step)
            self.logger.start(self.run)
            if trainer.global_step:
                self.on_progress(self.progress(trainer))

    def _rewind(self, step: int) -> None:
        """Truncate the files to a step; warn if rows are missing that its checkpoint relies on."""
        files = (self.file, self.classes_file)
        there = {file.path.name: file.rewind(step) for file in files}
        counted, self.rows = self.rows, self.rows or there
        for name, count in (counted or {}).items():
            if there[name] < count:
                log.warning(
                    f"{self.run.folder / name}: {count - there[name]} of {count} rows up to step {step} are "
                    "missing, as after a power cut; the checkpoint is whole, and training goes on from it"
                )

    def settle(self) -> None:
        """Sync the rows that a checkpoint relies on, and `check`, before the checkpoint is renamed."""
        self.file.sync()
        self.classes_file.sync()
        self.check()

    def _append(self, file: MetricsFile, row: Mapping[str, float | int | None]) -> None:
        file.append(row)
        assert self.rows is not None
        self.rows = {**self.rows, file.path.name: self.rows[file.path.name] + 1}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record this step's learning rate, because the schedule advances before the step ends."""
        self.lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the micro-batch; write a row if a step has ended and a row is due."""
        if outputs and "whole" in outputs:
            # Its part of the step's loss, summed in float64 on the device and read when a row is due.
            self.loss_sum = self.loss_sum + (outputs["whole"] / trainer.accumulate_grad_batches).double()
            self.loss_count = self.loss_count + outputs["share"]
            for place, each in enumerate(outputs.get("parts", ())):
                added = (each / trainer.accumulate_grad_batches).double()
                self.part_sums[place] = self.part_sums[place] + added
        else:
            self.dropped += 1
        finished = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if finished and trainer.global_step % self.log_every == 0:
            self._train_row(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        *_: int,
    ) -> None:
        """Pass the first validation images to a logger that shows pictures."""
        if batch_idx < self.logger.pictures and trainer.is_global_zero:
            assert isinstance(pl_module, SegmentationTask)
            assert pl_module.last_prediction is not None
            image = batch["image"][0].permute(1, 2, 0).cpu().numpy()
            maps = {"truth": batch["label"][0], "prediction": pl_module.last_prediction[0]}
            arrays = {kind: labels.cpu().numpy() for kind, labels in maps.items()}
            self.logger.show(trainer.global_step, Picture(batch["id"][0], image, arrays))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the validation's row."""
        assert isinstance(pl_module, SegmentationTask)
        values = {name: None if math.isnan(v) else v for name, v in pl_module.val_values.items()}
        miou = values["val_miou"]
        if miou is not None:
            self.best_miou = miou if self.best_miou is None else max(self.best_miou, miou)
        if trainer.is_global_zero:
            self.check()
            self._classes_row(trainer.global_step, pl_module.val_iou)
            self._row(trainer, values)

    def _classes_row(self, step: int, iou: NDArray[np.float64]) -> None:
        """Write the IoU of each class [K]; an absent class stays empty."""
        values = [None if np.isnan(value) else float(value) for value in iou]
        self._append(self.classes_file, {"step": step, **dict(zip(self.run.classes, values, strict=True))})
        self.logger.validated(step, iou)

    def _train_row(self, trainer: pl.Trainer) -> None:
        sums, count = (self.loss_sum, *self.part_sums), float(self.loss_count)
        means = [float(each) / count if count else None for each in sums]
        self.loss_sum, self.loss_count = 0.0, 0.0  # on all ranks alike
        self.part_sums = [0.0] * len(self.parts)
        if trainer.is_global_zero:
            self._row(trainer, {**dict(zip(("loss", *self.parts), means, strict=True)), "lr": self.lr})

    def _row(self, trainer: pl.Trainer, values: Mapping[str, float | None]) -> None:
        step = trainer.global_step
        row = {"step": step, "epoch": step * self.batch_size / self.train_images, **values}
        self.check()
        self._append(self.file, row)
        self.logger.log(row)
        self.last.update({name: value for name, value in values.items() if name in self.last})
        self.on_progress(self.progress(trainer))

    def progress(self, trainer: pl.Trainer) -> Progress:
        """Return the progress of the run as of now."""
        step, seconds = trainer.global_step, max(time.monotonic() - self.clock, 1e-9)
        per_step = seconds / max(step - self.first_step, 1)
        return Progress(
            step=step,
            max_steps=trainer.max_steps,
            images_per_s=self.batch_size / per_step,
            seconds_left=per_step * (trainer.max_steps - step),
            loss=self.last["loss"],
            lr=self.last["lr"],
            val_miou=self.last["val_miou"],
            dropped=self.dropped,
        )
