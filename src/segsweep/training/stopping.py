"""Stopping on a signal: training ends with the current step and a checkpoint.

Slurm and cloud machines announce the end with SIGTERM, SIGUSR1 or SIGUSR2 some seconds before the kill, a
closed terminal sends SIGHUP, and a person presses Ctrl-C. A checkpoint from the middle of a step could not be
resumed exactly, so the handler only records the signal. A second Ctrl-C ends the run at once.
"""

import os
from contextlib import ExitStack
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from segsweep.distributed.collectives import largest_of_ranks
from segsweep.errors import PreemptedError
from segsweep.processes import KEYBOARD, Listening
from segsweep.training.checkpoints import LastCheckpoint

NOTED = b"\nsegsweep: stopping at the end of the step; Ctrl-C again ends at once\n"


class StopOnSignal(Checkpoint):
    """End training after the step in which a signal arrived.

    Lightning calls Checkpoint callbacks after all others, in the given order: as the last one, this runs when
    everything about a step or validation is written.

    A step that is followed by a validation leaves no checkpoint, because no run resumes between the two, but
    the step before it does (see LastCheckpoint): at most one step is repeated.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.signum = 0
        self._listening = ExitStack()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the handlers, also over Lightning's, which would save within a step."""
        self._listening.enter_context(Listening(self._note))

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == KEYBOARD == self.signum:
            raise KeyboardInterrupt
        self.signum = signum
        if signum == KEYBOARD:
            os.write(2, NOTED)  # not by logging, whose lock the interrupted code may hold

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop if a step has ended and a signal arrived."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or not self._asked():
            return
        if not self.last.validation_follows(trainer):
            self.last.save(trainer)
        self._stop(f"after step {trainer.global_step}")

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop within a validation; the resumed run repeats it."""
        # Ranks validate different numbers of images, so none may wait for the others here.
        if trainer.world_size == 1 and self.signum:
            self._stop(f"in the validation of step {trainer.global_step}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save and stop if a signal arrived during the validation."""
        if self._asked():
            self.last.save(trainer)
            self._stop(f"after the validation of step {trainer.global_step}")

    def _asked(self) -> bool:
        """Return whether any rank received a signal: all must stop at the same step."""
        asked = largest_of_ranks(self.signum)
        # Only then: a signal that arrives during the exchange must not be forgotten.
        if asked:
            self.signum = asked
        return asked > 0

    def _stop(self, where: str) -> None:
        saved = f" (saved: step {self.last.saved_at})" if self.last.saved_at > 0 else ""
        raise PreemptedError(self.signum, where + saved)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the signal handlers."""
        self._listening.close()
