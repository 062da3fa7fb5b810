"""What every data set is to the training loop: splits by name, a stream of batches, a pass over val."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from segsweep.data.augment import Augment
from segsweep.data.cache import cached
from segsweep.data.download import Archive
from segsweep.data.kept import default_folder
from segsweep.data.label_stats import classes_held
from segsweep.data.loading import (
    Augmentation,
    Loader,
    TrainingView,
    collate,
    collate_idle,
    start_worker,
)
from segsweep.data.official import OfficialSplit, Submission
from segsweep.data.prepare import Preparation
from segsweep.data.sample import Sample, height_width
from segsweep.data.sampler import StreamBatchSampler
from segsweep.data.sampling import EpochOrder, Mixture, Sampling, Shuffle
from segsweep.data.split import JoinedSplit, SplitDataset, check_disjoint
from segsweep.errors import ConfigError, near
from segsweep.rules import micro_batch

log = getLogger(__name__)


class SegmentationData(pl.LightningDataModule):
    """Base of all data sets: a subclass names its classes and reads its splits (`read_split`).

    Loaders are built in Lightning's hooks, where rank, world size and the step to resume from are known.
    One Lightning epoch is the whole run. The Trainer must be built with `use_distributed_sampler=False`.
    """

    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    """The classes' colours in pictures, RGB 0..255."""
    splits: tuple[str, ...] = ("train", "val", "test")
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Splits made of others, as `{"trainval": ("train", "val")}`."""
    val_split: str = "val"
    test_split: str = "test"
    official: ClassVar[Mapping[str, OfficialSplit]] = {}
    """The official release's splits, for `data check`."""
    release_size: tuple[int, int] | None = None
    """(H, W) of every image of the official release, for `data check`; None where they differ."""
    layout: str = ""
    """The folders and files that are expected under `root`, in a line for error messages."""
    fetch: str = ""
    """From whom the files are had and where to put them, in a line."""
    encodings: ClassVar[Mapping[str, frozenset[int]]] = {}
    """Other values that label files of this set are found with, by a name in words, for `data check`."""
    submission: ClassVar[Submission | None] = None
    """What the benchmark takes for the splits whose truth it keeps."""
    weights: tuple[float, ...] | None = None
    """Shares of a mixture's parts (`JoinedSplit.parts`) in the training stream; None for shares by size."""

    def __init__(
        self,
        *,
        num_classes: int,
        size: int | Sequence[int],
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augmentation | None = None,
        train_split: str = "train",
        sampling: Sampling | None = None,
        cache: str | Path | None = None,
    ) -> None:
        """Take the options that all data sets share.

        `size` is the training crop in pixels, a side or `[H, W]`; `batch_size` counts the images of one
        optimizer step over all devices and accumulated batches; `num_workers` are processes a device, 0
        for none; `seed` fixes order and augmentation; without `augment`, samples are padded and randomly
        cropped to `size` and no more; without `sampling` each sample comes once an epoch, or parts by
        their `weights`; `cache` is a folder in which decoded samples of the train and val splits are kept.
        Raises ConfigError on a value that makes no sense.
        """
        super().__init__()
        if num_classes != len(self.classes):
            raise ConfigError(
                f"num_classes: {num_classes}, but {type(self).__name__} has {len(self.classes)} classes "
                f"({', '.join(self.classes)}); set num_classes to {len(self.classes)}"
            )
        for option, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
            if type(value) is not int or value < least:
                raise ConfigError(f"{option}: {value!r} found; give an integer of at least {least}")
        self.num_classes, self.size = num_classes, height_width(size)
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.augment, self.train_split, self.sampling = augment, train_split, sampling
        self.cache = None if cache is None else Path(cache).expanduser()
        self._check_split_name(train_split, "dataset.train_split")
        if train_split == self.test_split:
            raise ConfigError(
                f"dataset.train_split: {train_split!r} is the split to test on; train on another"
            )

    def read_split(self, name: str) -> SplitDataset:
        """Read one of `splits`, in subclasses; DataError where the files are not as promised."""
        raise NotImplementedError

    def preparations(self) -> list[Preparation]:
        """Files that have to be made once from the release, for `segsweep data prepare`."""
        return []

    def archives(self) -> list[tuple[Archive, Path]]:
        """The official archives that may be fetched without an account, each with the folder it becomes."""
        return []

    def split(self, name: str) -> SplitDataset:
        """A split, joined ones too, as a map-style Dataset of Sample at full size.

        Raises ConfigError on an unknown name, DataError on an empty or unreadable split.
        """
        self._check_split_name(name, "split")
        if name in self.joined:
            return JoinedSplit(name, [self.read_split(part) for part in self.joined[name]])
        return self.read_split(name)

    def _check_split_name(self, name: str, option: str) -> None:
        known = (*self.splits, *self.joined)
        if name not in known:
            raise ConfigError(
                f"{option}: {type(self).__name__} has no split {name!r}; {near(str(name), known)}"
            )

    def split_hash(self, name: str) -> str:
        """What is in a split and in which order: 16 hex digits of the SHA-256 of its ids, one a line."""
        return sha256("\n".join(str(i) for i in self.split(name).ids).encode()).hexdigest()[:16]

    def setup(self, stage: str) -> None:
        """Before training: all files of the train and val splits exist, and no image is in both.

        A split that training contains by name, as val in trainval, is not compared with it: its figures
        are then figures on training data, which a warning in the log says. Raises DataError.
        """
        if stage != "fit":
            return
        if self.sampling is not None and self.weights is not None:
            raise ConfigError(
                "sampling: dataset.weights say already what is drawn; set dataset.weights or sampling to null"
            )
        train, val = self.split(self.train_split), self.split(self.val_split)
        train.check()
        val.check()
        inside = self.joined.get(self.train_split, (self.train_split,))
        for name in dict.fromkeys((self.val_split, self.test_split)):
            if name not in inside:
                check_disjoint(train, val if name == self.val_split else self.split(name))
            else:
                log.warning(
                    "dataset.train_split %s contains %s: its scores are on training images",
                    self.train_split,
                    name,
                )

    def train_dataloader(self) -> Loader:
        """Batches (`loading.Batch`) of the run from the trainer's step on, this rank's share of each step.

        Raises ConfigError where `batch_size` cannot be shared out, or the run has no number of steps.
        """
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("training batches depend on the trainer's step and rank; attach one first")
        if trainer.max_steps < 1:
            raise ConfigError(
                f"trainer.max_steps: {trainer.max_steps} found; give the run's optimizer steps, at least 1"
            )
        accumulate = trainer.accumulate_grad_batches
        dataset = self.split(self.train_split)
        sampler = StreamBatchSampler(
            self._order(dataset),
            batch=micro_batch(self.batch_size, trainer.world_size, accumulate),
            total=trainer.max_steps * accumulate,
            # The loops are restored by now: on a resume this is the step of the checkpoint.
            start=trainer.global_step * accumulate,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        view = TrainingView(self._cached(dataset), self._augmentation(), self.seed)
        return self._loader(view, batch_sampler=sampler, collate_fn=collate, micro_batches=accumulate)

    def val_dataloader(self) -> Loader:
        """Every val image once over all ranks, at full size, one a batch (`loading.Batch`), none repeated.

        A rank for which there is none has one marked `idle`, not to be counted: Lightning would have it skip
        the validation, in which the others wait for it.
        """
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        dataset = self.split(self.val_split)
        own = range(rank, len(dataset), world)
        return self._loader(
            self._cached(dataset),
            sampler=own or range(1),
            batch_size=1,
            collate_fn=collate if own else collate_idle,
        )

    def _order(self, dataset: SplitDataset) -> EpochOrder:
        """The order of the training stream: by parts, by classes, or each sample once an epoch."""
        if self.sampling is not None:
            folder = self.cache or default_folder()
            held = classes_held(dataset, self.num_classes, folder, self.num_workers)
            return self.sampling.over(held, self.seed)
        if self.weights is not None and isinstance(dataset, JoinedSplit):
            return Mixture(dataset.part_lengths, self.weights, self.seed)
        return Shuffle(len(dataset), self.seed)

    def _cached(self, dataset: SplitDataset) -> SplitDataset:
        return cached(dataset, self.cache, self.num_workers) if self.cache else dataset

    def _augmentation(self) -> Augmentation:
        if self.augment is not None:
            return self.augment
        return Augment(self.size, scale_min=1, scale_max=1, flip=0)

    def _loader(self, dataset: Dataset[Sample], **order: Any) -> Loader:
        return Loader(
            dataset,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=start_worker,
            pin_memory=torch.cuda.is_available(),
            **order,
        )
