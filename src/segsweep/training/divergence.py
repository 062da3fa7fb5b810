"""Finding a loss or a weight that is not finite before it reaches a checkpoint."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from segsweep.distributed.collectives import names_over_ranks
from segsweep.errors import DivergenceError


class FiniteWatch(Callback):
    """Raises DivergenceError for a loss that is not finite, with the step and the samples.

    Reading a loss makes the process wait for the device, which then idles until it has the next step's
    kernels. So losses stay there, and are read together: every `every` steps, and before each validation and
    checkpoint. All ranks read at the same steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.unread: list[tuple[int, Tensor, Tensor, list[str]]] = []
        """Of each micro-batch since the last reading: step from 1, loss of all ranks, of this one, ids."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the micro-batch's loss; read all that are kept if it is time."""
        finished = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        step = trainer.global_step if finished else trainer.global_step + 1
        if outputs and "whole" in outputs:
            self.unread.append((step, outputs["whole"], outputs["loss"], list(batch["id"])))
        if finished and step % self.every == 0:
            self.read()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the losses: a validation would count what a network of NaN predicts."""
        self.read()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the losses and look at the weights; the earlier checkpoint remains if one is not finite."""
        self.read()
        check_weights(pl_module, trainer.global_step)

    def read(self) -> None:
        """Wait for the device and look at the losses since the last reading.

        Raises:
            DivergenceError: one is not finite; the first such step is named.
        """
        unread, self.unread = self.unread, []
        if not unread:
            return
        finite = torch.stack([whole for _, whole, _, _ in unread]).isfinite().tolist()
        for (step, whole, own, ids), is_finite in zip(unread, finite, strict=True):
            if not is_finite:
                named = names_over_ranks([] if own.isfinite() else ids)
                raise DivergenceError(f"the loss is {whole.item()}", step, named)


def check_weights(module: nn.Module, step: int) -> None:
    """Raise DivergenceError if a parameter is not finite, as after an infinite gradient of a finite loss."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    finite = torch.stack([parameter.isfinite().all() for parameter in parameters]).tolist()
    for name, is_finite in zip(names, finite, strict=True):
        if not is_finite:
            raise DivergenceError(f"{name} is NaN or infinite", step)
