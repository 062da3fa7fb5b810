"""When a run writes its checkpoints: the last one, to resume from, and the best one, to test."""

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from segsweep.distributed.collectives import any_of_ranks, share_buffers
from segsweep.runs.layout import BEST, LAST


class BestCheckpoint(ModelCheckpoint):
    """Keep the weights of the highest validation mIoU as best.ckpt."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename=BEST.removesuffix(".ckpt"),
            monitor="val_miou",
            mode="max",
            save_weights_only=True,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state; Lightning alone would forget the best score if the folder was moved."""
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: self._here(state_dict[name]) for name in paths}
        scores = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": scores, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else path


class LastCheckpoint(Checkpoint):
    """Write last.ckpt every `every` optimizer steps, every `minutes` minutes, and at the end.

    On a step with a validation it is written after the validation, so that a resumed run neither repeats nor
    misses one. The step before a validation is always written: if the process ends within the validation,
    only one step is repeated.
    """

    def __init__(
        self, folder: Path, every: int, val_every: int, max_steps: int, minutes: float | None = None
    ) -> None:
        super().__init__()
        self.path, self.every, self.val_every, self.max_steps = folder / LAST, every, val_every, max_steps
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.saved_at, self.saved_when = -1, time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if a step is finished and no validation follows."""
        finished = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if finished and not self.validation_follows(trainer):
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Save if it was due on this step."""
        self._save_if_due(trainer)

    def validation_follows(self, trainer: pl.Trainer) -> bool:
        """Return whether the step that has just ended is followed by a validation."""
        return trainer.global_step % self.val_every == 0

    def save(self, trainer: pl.Trainer) -> None:
        """Save now, unless this step is already saved."""
        if trainer.global_step != self.saved_at:
            self.saved_at, self.saved_when = trainer.global_step, time.monotonic()
            # Ranks that continue have the same buffers as ranks that resume from the file.
            share_buffers(trainer.lightning_module)
            trainer.save_checkpoint(self.path)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        on_step = step % self.every == 0 or (step + 1) % self.val_every == 0 or step == self.max_steps
        if on_step or self._is_overdue(trainer):
            self.save(trainer)

    def _is_overdue(self, trainer: pl.Trainer) -> bool:
        """Return whether `minutes` have passed on any rank: clocks differ, but ranks save together."""
        if self.seconds == math.inf:
            return False
        overdue = time.monotonic() - self.saved_when > self.seconds
        return any_of_ranks(overdue)
