"""Checkpoints that are whole or not there, and the two that a run keeps: last and best.

Lightning's own save writes into the temporary folder and moves the file from there, which on another file
system is a copy that a kill can cut in half. Here a checkpoint is written beside its place, synced to disk
and renamed.
"""

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from segsweep.errors import UserError

LAST, BEST = "last.ckpt", "best.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, renames; loads with `weights_only=True`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, all or nothing.

        Raises:
            UserError: the disk is full or cannot be written; what stood at `path` is untouched.
        """
        target = Path(path)
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            # torch's writer, left without its file, raises an error of its own over the disk's.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            raise UserError(
                f"checkpoint {target} could not be written ({cause.strerror}); the one before it is whole: "
                "free space on that disk and give the same command again"
            ) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read a checkpoint, see `read_checkpoint`."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint on the CPU; nothing but tensors and plain values is accepted.

    Raises:
        UserError: it is damaged.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise UserError(
            f"checkpoint {path} is damaged: remove it and the run starts from its beginning "
            "(force=true does that and keeps what is there)"
        ) from error


def best_checkpoint(folder: Path) -> ModelCheckpoint:
    """Keeps the weights of the highest validation mIoU as best.ckpt."""
    return ModelCheckpoint(
        dirpath=folder,
        filename=BEST.removesuffix(".ckpt"),
        monitor="val_miou",
        mode="max",
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt every so many optimizer steps and at the end.

    Where a validation falls on the same step it is written after it, so that a resumed run neither repeats
    nor misses a validation.
    """

    def __init__(self, folder: Path, every: int, val_every: int, max_steps: int) -> None:
        super().__init__()
        self.path, self.every, self.val_every, self.max_steps = folder / LAST, every, val_every, max_steps
        self.saved_at = -1

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Save, where no validation follows."""
        if trainer.global_step % self.val_every != 0:
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Save, where it was due on this step."""
        self._save_if_due(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        if step != self.saved_at and (step % self.every == 0 or step == self.max_steps):
            self.saved_at = step
            trainer.save_checkpoint(self.path)
