"""A segmenter with its loss as a LightningModule."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from segsweep.data.sampling import key
from segsweep.distributed.collectives import mean_over_ranks, names_over_ranks, share_buffers, world
from segsweep.evaluation.histogram import marginals
from segsweep.evaluation.predictor import largest
from segsweep.networks import Segmenter
from segsweep.statistics.figures import iou, miou, pixel_accuracy
from segsweep.training import optimizers
from segsweep.training.losses import MicroBatch, SegmentationLoss, WholeStep, labels_in_cascade
from segsweep.training.optimizers import with_schedule
from segsweep.training.schedules import Schedule
from segsweep.training.validation import ValidationSums

OptimizerFactory = Callable[[Segmenter], Optimizer]
ScheduleFactory = Callable[..., Schedule]
Compute = Callable[[Tensor, Tensor, MicroBatch | None], tuple[Tensor, Tensor | None]]
"""(image, label, part of a step) -> loss and, of a sum of losses, its parts."""

ACCUMULATE = "segsweep_accumulate_grad_batches"

log = logging.getLogger("segsweep")


class SegmentationTask(pl.LightningModule):
    """Training and validation of one segmenter.

    All randomness inside a step (dropout) is drawn from (seed, micro-batch, rank), so that a checkpoint needs
    no random state. Validation sees each image once, at full size; its mIoU is that of one confusion matrix.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        loss: SegmentationLoss,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        num_classes: int,
        seed: int,
        max_steps: int,
        val_every: int,
        on_nan: str = "stop",
        freeze: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.on_nan = on_nan
        self._frozen = optimizers.freeze(segmenter, freeze)
        self.segmenter, self.loss = segmenter, loss
        if segmenter.cascades_labels:
            loss.resize_labels_by(labels_in_cascade)
        # Channels last on every device: cuDNN's tensor cores read it so, and light networks train a quarter
        # faster on the CPU, where others are as fast as before.
        segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's, untyped
        self.forward_train, self.compute = segmenter.forward_train, cast(Compute, self.loss_of)
        self.make_optimizer, self.make_schedule = optimizer, schedule
        self.num_classes, self.seed = num_classes, seed
        self.max_steps, self.val_every = max_steps, val_every
        self.validation = ValidationSums(num_classes)
        self.last_prediction: Tensor | None = None
        self._counts = False

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule."""
        run = {"max_steps": self.max_steps, "val_every": self.val_every}
        optimizer, schedule = with_schedule(self.make_optimizer, self.make_schedule, self.segmenter, **run)
        if self.trainer.scaler is not None and self.trainer.gradient_clip_val:
            optimizers.unfuse(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def train(self, mode: bool = True) -> "SegmentationTask":
        """Set the mode of all parts but the frozen ones, whose statistics do not change."""
        super().train(mode)
        for module in getattr(self, "_frozen", ()):
            module.eval()
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the number of micro-batches per step, in which the checkpoint's progress is counted."""
        checkpoint[ACCUMULATE] = self.trainer.accumulate_grad_batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Convert the progress to the present number of micro-batches per step."""
        before, now = checkpoint.get(ACCUMULATE, 0), self.trainer.accumulate_grad_batches
        if before and before != now:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
            for counts in (progress["current"], progress["total"]):
                more = counts["ready"] * now // before - counts["ready"]
                # Differences between the counts say where within a step Lightning saved, so they stay.
                counts.update({name: count + more for name, count in counts.items()})

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the random numbers of the step."""
        micro_batch = self.trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed(key(self.seed, "step", micro_batch, self.global_rank) % 2**63)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any] | None:
        """Return the loss of one micro-batch: image [B, 3, H, W] uint8, label [B, H, W] uint8.

        `loss` is this rank's, `whole` that of all ranks, `share` the weight of the micro-batch in its step,
        `parts` the terms of a sum of losses, over all ranks.
        They stay on the device (see divergence.py). Only with `on_nan` "skip" the loss is read: if it is not
        finite, `whole` is missing, weights do not change and BatchNorm's statistics are restored.
        """
        # A forward pass with NaN leaves NaN in BatchNorm's statistics.
        skips = self.on_nan == "skip"
        buffers = self.segmenter.buffers() if skips else ()
        statistics = [(buffer, buffer.clone()) for buffer in buffers]
        part = self._part(batch, batch_idx)
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        loss, parts = self.compute(image, batch["label"], part)
        whole = mean_over_ranks(loss)  # not finite if any rank's is not: all drop the batch or none
        if not skips or whole.isfinite():
            self._counts = True
            height, width = batch["label"].shape[-2:]
            share = 1.0 if part is None else part.share((height, width), self.loss.class_weights)
            found = {"loss": loss, "whole": whole, "share": share}
            return found if parts is None else {**found, "parts": mean_over_ranks(parts)}
        ids = names_over_ranks([] if loss.isfinite() else list(batch["id"]))
        if self.global_rank == 0:
            log.warning(f"step {self.global_step + 1}: loss {whole.item()}, batch dropped ({', '.join(ids)})")
        for buffer, value in statistics:
            buffer.copy_(value)
        return None if world() == 1 else {"loss": self._zero()}

    def loss_of(self, image: Tensor, label: Tensor, part: MicroBatch | None) -> tuple[Tensor, Tensor | None]:
        """Return the loss of a micro-batch, as a part of its step, and the parts that the loss has itself."""
        logits, auxiliary = self.forward_train(image)
        return self.loss.with_parts(logits, label, auxiliary, self.segmenter.auxiliary_weights, part)

    def _part(self, batch: dict[str, Any], batch_idx: int) -> MicroBatch | None:
        """Return the micro-batch's place in its step; None if it is the whole step."""
        micro_batches = self.trainer.accumulate_grad_batches
        if micro_batches == 1:
            return None
        if batch_idx % micro_batches == 0:
            self._step = WholeStep(batch["step_labels"], self.loss.resized)
        return MicroBatch(self._step, batch_idx % micro_batches)

    def _zero(self) -> Tensor:
        """Return a loss of zero with gradients of zero: ranks exchange gradients in every step."""
        trained = (parameter for parameter in self.segmenter.parameters() if parameter.requires_grad)
        return torch.stack([parameter.sum() * 0 for parameter in trained]).sum()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Remove the gradients of a step whose batches were all dropped: momentum would act on zeros."""
        if not self._counts:
            optimizer.zero_grad()
        self._counts = False

    def on_train_start(self) -> None:
        """Copy rank 0's buffers to all ranks, as DDP does with the weights."""
        share_buffers(self.segmenter)

    def on_validation_epoch_start(self) -> None:
        """Copy rank 0's buffers to all ranks, because its checkpoints hold these."""
        share_buffers(self.segmenter)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count full-size images of one size, unless another rank counts them."""
        if "idle" in batch:
            return
        logits, label = self.segmenter(batch["image"]), batch["label"]
        self.last_prediction = torch.stack([largest(scores) for scores in logits.float()])
        # Each image has its own mean over pixels, whatever others come with it.
        losses = [self.loss(logits[i : i + 1], label[i : i + 1]) for i in range(len(label))]
        self.validation.update(self.last_prediction, label, torch.stack(losses))

    def on_validation_epoch_end(self) -> None:
        """Log the figures that checkpoints, schedules and metrics.csv use."""
        matrix, loss = self.validation.compute()
        totals = marginals(matrix.cpu().numpy())
        self.val_iou = iou(totals)
        values = {
            "val_loss": float(loss),
            "val_miou": float(miou(totals)),
            "val_pixel_accuracy": float(pixel_accuracy(totals)),
        }
        # float32, as the checkpoint callback and the plateau schedule compare these.
        self.log_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()})
        self.val_values = values
        self.validation.reset()
