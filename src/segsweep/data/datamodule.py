"""A dataset's loaders: a stream of training batches, and a pass over its val split.

Loaders are built in Lightning's hooks, which know the rank, the number of processes and the step to resume
from. One Lightning epoch is the whole run. The Trainer must be built with `use_distributed_sampler=False`.

The stream is the order of epoch 0 (`sampling`), then that of epoch 1, and so on. It is divided into optimizer
steps of equal size, and each step into micro-batches for the ranks. So a step has the same images for any
number of devices or micro-batches, and any step is found without replaying earlier ones.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import Sampler

from segsweep.data.augment import Augment
from segsweep.data.cache import cached, default_folder
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.label_stats import classes_held
from segsweep.data.loading import (
    Augmentation,
    Loader,
    Position,
    Samples,
    TrainingView,
    collate,
    collate_idle,
    start_worker,
)
from segsweep.data.sample import height_width
from segsweep.data.sampling import EpochOrder, Mixture, Order, Sampling, Shuffle
from segsweep.data.split import JoinedSplit, SplitDataset
from segsweep.data.transfer import SideStream
from segsweep.errors import OptionError
from segsweep.rules import micro_batch


class DataModule(pl.LightningDataModule):
    """A dataset with batch size, workers, order and augmentation."""

    def __init__(
        self,
        dataset: SegmentationDataset,
        *,
        size: int | Sequence[int],
        batch_size: int,
        num_workers: int = 0,
        eval_batch_size: int = 1,
        seed: int = 0,
        augment: Augmentation | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Take the dataset and how to load it.

        `size` is the training crop in pixels, one side or `[H, W]`; `batch_size` counts the images of one
        optimizer step over all devices and accumulated batches; `num_workers` is the number of loader
        processes per device; `seed` fixes order and augmentation. Without `augment`, samples are only padded
        and cropped at random to `size`; without `sampling`, each sample comes once an epoch, or parts by the
        dataset's `weights`. Val images of one size come `eval_batch_size` at a time. Raises ConfigError for a
        value that makes no sense.
        """
        super().__init__()
        for option, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("eval_batch_size", eval_batch_size, 1),
        ):
            if type(value) is not int or value < least:
                raise OptionError(option, value, f"a whole number of at least {least}")
        if sampling is not None and dataset.weights is not None:
            raise OptionError(
                "sampling",
                problem="dataset.weights already decide what is drawn",
                remedy="set dataset.weights or sampling to null",
            )
        self.dataset, self.size, self.seed = dataset, height_width(size), seed
        self.batch_size, self.num_workers, self.sampling = batch_size, num_workers, sampling
        self.eval_batch_size = eval_batch_size
        self._side_stream = SideStream()
        self.augment = augment or Augment(self.size, scale_min=1, scale_max=1, flip=0)

    def setup(self, stage: str) -> None:
        """Check the files before training; raise DataError if one is missing."""
        if stage == "fit":
            self.dataset.check_files()

    def train_dataloader(self) -> Loader:
        """Return the run's batches (`loading.Batch`) from the trainer's step on, this rank's share of each.

        Raises ConfigError if `batch_size` cannot be divided evenly, or the run has no number of steps.
        """
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("training batches depend on the trainer's step and rank; attach one first")
        if trainer.max_steps < 1:
            raise OptionError("trainer.max_steps", trainer.max_steps, "the run's optimizer steps, at least 1")
        accumulate = trainer.accumulate_grad_batches
        split = self.dataset.split(self.dataset.train_split)
        sampler = StreamBatchSampler(
            self.order(split),
            batch=micro_batch(self.batch_size, trainer.world_size, accumulate),
            total=trainer.max_steps * accumulate,
            # The checkpoint's step in a resumed run, because the loops are restored by now.
            start=trainer.global_step * accumulate,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        kept = cached(split, self.dataset.cache, self.num_workers)
        view = TrainingView(kept, self.augment, self.seed)
        return self._loader(view, batch_sampler=sampler, collate_fn=collate, micro_batches=accumulate)

    def val_dataloader(self) -> Loader:
        """Return every val image once over all ranks, at full size (`loading.Batch`).

        A batch has successive images of one size, at most `eval_batch_size`. A rank without images gets one
        marked `idle`, which does not count: Lightning would let it skip the validation, in which the others
        wait for it.
        """
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        split = self.dataset.split(self.dataset.val_split)
        own = range(rank, len(split), world)
        return self._loader(
            cached(split, self.dataset.cache, self.num_workers),
            sampler=own or range(1),
            batch_size=1,
            collate_fn=collate if own else collate_idle,
            joined=self.eval_batch_size,
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Copy a batch beside the computation of the one before."""

        def copy() -> Any:
            return super(DataModule, self).transfer_batch_to_device(batch, device, dataloader_idx)

        return self._side_stream(copy, device)

    def order(self, split: SplitDataset) -> EpochOrder:
        """Return the order of the training stream: by classes, by parts, or each sample once an epoch."""
        if self.sampling is not None:
            folder = self.dataset.cache or default_folder()
            held = classes_held(split, len(self.dataset.classes), folder, self.num_workers)
            return self.sampling.over(held, self.seed)
        if self.dataset.weights is not None and isinstance(split, JoinedSplit):
            return Mixture(split.part_lengths, self.dataset.weights, self.seed)
        return Shuffle(len(split), self.seed)

    def _loader(self, dataset: Samples, **order: Any) -> Loader:
        return Loader(
            dataset,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=start_worker,
            pin_memory=torch.cuda.is_available(),
            **order,
        )


class StreamBatchSampler(Sampler[list[Position]]):
    """Micro-batches of a whole run, from micro-batch `start` on, for one rank.

    Micro-batch m of rank r holds the stream's positions `(m * world + r) * batch + [0, batch)`. Position p
    belongs to epoch `p // length`. Batches may straddle two epochs, and be larger than one.
    """

    def __init__(
        self, order: EpochOrder, batch: int, total: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        """Take each epoch's order, the images per micro-batch, and a rank's micro-batches in the whole run.

        `start` is the first micro-batch that is left to do.
        """
        assert batch > 0
        assert 0 <= rank < world
        self.order, self.batch, self.total = order, batch, total
        self.start, self.rank, self.world = start, rank, world

    def __len__(self) -> int:
        # The whole run, because Lightning itself adds the batches done before a resume.
        return self.total

    def __iter__(self) -> Iterator[list[Position]]:
        epoch, draws = -1, np.empty(0, dtype=np.int64)
        for micro in range(self.start, self.total):
            first = (micro * self.world + self.rank) * self.batch
            batch: list[Position] = []
            for position in range(first, first + self.batch):
                if position // self.order.length != epoch:
                    epoch = position // self.order.length
                    draws = tell_apart(self.order.order(epoch), self.order.samples)
                batch.append((epoch, int(draws[position % self.order.length])))
            yield batch


def tell_apart(order: Order, samples: int) -> Order:
    """Add `samples` to the second occurrence of each index, twice that to the third, and so on."""
    by_index = np.argsort(order, kind="stable")
    starts = np.cumsum(np.bincount(order, minlength=samples)) - np.bincount(order, minlength=samples)
    before = np.empty_like(order)
    before[by_index] = np.arange(len(order)) - starts[order[by_index]]
    return order + samples * before
