"""Stopping in time: a signal is a request, granted at the end of the step, with a checkpoint.

Slurm and cloud machines announce the end with SIGTERM, SIGUSR1 or SIGUSR2 and kill some seconds later, a
closed terminal with SIGHUP, and a person with Ctrl-C. A handler that wrote the checkpoint itself would do so
in the middle of a step, from which nothing resumes exactly; so the handler only notes the signal. Ctrl-C once
more ends the run at once.
"""

import os
from contextlib import ExitStack
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from segsweep.distributed.collectives import largest_of_ranks
from segsweep.errors import PreemptedError
from segsweep.processes import KEYBOARD, listening
from segsweep.training.checkpoints import LastCheckpoint

NOTED = b"\nsegsweep: stopping at the end of the step; Ctrl-C again ends at once\n"


class StopOnSignal(Checkpoint):
    """End training at the end of the step in which a signal came.

    Lightning calls Checkpoint callbacks after all others, in the order given: as the last one, this finds
    everything about a step or validation written.

    A step that is followed by a validation leaves no checkpoint (nothing resumes between the two), but the
    step before it does, see LastCheckpoint: at most one step is repeated.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.signum = 0
        self._listening = ExitStack()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over, from Lightning too, which would save within a step."""
        self._listening.enter_context(listening(self._note))

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == KEYBOARD == self.signum:
            raise KeyboardInterrupt
        self.signum = signum
        if signum == KEYBOARD:
            os.write(2, NOTED)  # not by the log, whose lock the interrupted code may hold

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop if a step is finished and a signal came."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or not self._asked(trainer):
            return
        if not self.last.validation_follows(trainer):
            self.last.save(trainer)
        self._stop(f"after step {trainer.global_step}")

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop within a validation, which is repeated."""
        # Ranks have validation shares of different lengths, so none may wait for the others here.
        if trainer.world_size == 1 and self.signum:
            self._stop(f"in the validation of step {trainer.global_step}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save and stop after a validation in which a signal came."""
        if self._asked(trainer):
            self.last.save(trainer)
            self._stop(f"after the validation of step {trainer.global_step}")

    def _asked(self, trainer: pl.Trainer) -> bool:
        """Whether any rank was asked to stop: all must stop at the same step."""
        self.signum = largest_of_ranks(self.signum, trainer.strategy.root_device)
        return self.signum > 0

    def _stop(self, where: str) -> None:
        saved = f" (saved: step {self.last.saved_at})" if self.last.saved_at > 0 else ""
        raise PreemptedError(self.signum, where + saved)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._listening.close()
