"""From samples to batches: the work of loader processes.

Batch letters: `B` images, `H`, `W` their size in pixels.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from errno import ENOSPC
from functools import partial
from itertools import groupby, islice
from logging import getLogger
from typing import Any, Protocol, TypeVar, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segsweep.data.parallel import MORE_ROOM, SHARED
from segsweep.data.sample import Sample
from segsweep.data.split import SplitDataset
from segsweep.errors import DataError, OptionError, UserError, portable
from segsweep.processes import heed_parent_alone

Augmentation = Callable[[Sample, int, int, int], Sample]
"""(sample, seed, epoch, draw) -> the augmented sample, a pure function of the four."""

log = getLogger(__name__)
T = TypeVar("T")
NO_WORKERS = MORE_ROOM.format("num_workers")
Position = tuple[int, int]
"""An (epoch, draw) pair; `draw` is `sample + samples * times drawn before in that epoch`.

So a sample that is drawn twice in an epoch is augmented in two ways.
"""
Batch = dict[str, Any]  # `image` uint8 [B, 3, H, W] RGB, `label` uint8 [B, H, W], `id` list of B strings


class Samples(Protocol):
    """The source of a loader: samples by index or by `Position`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Sample | BaseException: ...


class TrainingView:
    """A split for training: augmented for each `Position`."""

    def __init__(self, dataset: SplitDataset, augment: Augmentation, seed: int) -> None:
        self.dataset, self.augment, self.seed = dataset, augment, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: Position) -> Sample:
        epoch, draw = position
        sample = self.dataset[draw % len(self.dataset)]
        try:
            return self.augment(sample, self.seed, epoch, draw)
        except OptionError as error:  # of user transforms that fail only with some samples
            raise error.within("augment") from error.__cause__


class Attempts:
    """Samples as a loader process sends them, or the UserError raised in reading one.

    torch would send an exception as the text of its traceback.
    """

    def __init__(self, dataset: Samples) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Sample | BaseException:
        try:
            return self.dataset[index]
        except UserError as error:
            return portable(error)


class Loader(DataLoader[Sample]):
    """A DataLoader that raises a loader process's UserError unchanged, and may be resumed.

    It has no state to save, because its start follows from the trainer's step. Having `state_dict` prevents
    Lightning's warning about a lost position. If a step has several `micro_batches`, the first of each step
    has the labels of all. If shared memory has no room for a batch, it comes through a pipe: torch would wait
    for it forever. With `joined` above 1, batches of one image come as larger ones (`in_larger_batches`).
    """

    def __init__(self, dataset: Samples, micro_batches: int = 1, joined: int = 1, **options: Any) -> None:
        self.in_batches = options.get("batch_size", 1) is not None  # otherwise single samples
        if options.get("num_workers"):
            dataset = Attempts(dataset)
            options["collate_fn"] = partial(handed_over, options["collate_fn"])
        super().__init__(cast(Dataset[Sample], dataset), **options)
        self.micro_batches, self.joined = micro_batches, joined
        self._told = False

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignore the empty state."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        try:
            batches: Iterator[Any] = map(self._received, super().__iter__())
            if self.micro_batches > 1:
                batches = with_labels_of_step(batches, self.micro_batches)
            yield from in_larger_batches(batches, self.joined) if self.joined > 1 else batches
        except OSError as error:
            if not self.num_workers or error.errno != ENOSPC:
                raise
            raise UserError(f"{SHARED} has no room for the loader's processes; {NO_WORKERS}") from error

    def _received(self, batch: Any) -> Any:
        """Return a batch as tensors, however it was sent; a single sample, as in evaluation, unchanged."""
        if isinstance(batch, BaseException):
            raise batch
        if not self.in_batches or not isinstance(batch, dict):
            return batch
        arrays = {name: value for name, value in batch.items() if isinstance(value, np.ndarray)}
        if arrays and not self._told:
            self._told = True
            log.warning(
                "%s has no room for a batch: batches come through pipes, which is slower; %s",
                SHARED,
                NO_WORKERS,
            )
        return {**batch, **{name: torch.from_numpy(array) for name, array in arrays.items()}}


def with_labels_of_step(batches: Iterator[Batch], micro_batches: int) -> Iterator[Batch]:
    """Yield the batches, each step's first with `step_labels`: the labels of all its micro-batches.

    Reads a step's number of batches ahead, one for each that is taken.
    """
    ahead = deque(islice(batches, micro_batches))
    while ahead:
        labels = [batch["label"] for batch in ahead]
        for index in range(len(ahead)):
            batch = ahead.popleft()
            yield {**batch, "step_labels": labels} if index == 0 else batch
            ahead.extend(islice(batches, 1))


def in_larger_batches(batches: Iterator[Batch], most: int) -> Iterator[Batch]:
    """Yield successive batches of one image each as one, if they agree in size, at most `most` of them."""
    of_one_size = runs_of_equals(batches, most, lambda batch: batch["image"].shape)
    for several in of_one_size:
        tensors = {name: torch.cat([batch[name] for batch in several]) for name in ("image", "label")}
        pinned = several[0]["image"].is_pinned()
        tensors = {name: tensor.pin_memory() if pinned else tensor for name, tensor in tensors.items()}
        yield {**several[0], **tensors, "id": [id for batch in several for id in batch["id"]]}


def runs_of_equals(items: Iterable[T], most: int, key: Callable[[T], Any]) -> Iterator[list[T]]:
    """Yield successive items that agree in `key` together, at most `most` of them."""
    for _, equal in groupby(items, key):
        while several := list(islice(equal, most)):
            yield several


def handed_over(collate: Callable[[Any], Any], samples: Any) -> Any:
    """Collate in a loader process; return shared tensors, arrays if shared memory is full, or a UserError."""
    mistakes = [one for one in (samples, *samples) if isinstance(one, BaseException)]
    if mistakes:
        return mistakes[0]
    try:
        batch = collate(samples)
    except UserError as error:
        return portable(error)
    if not isinstance(batch, dict):
        return batch
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    try:
        # Done here, because torch does it in a thread, whose error loses the batch.
        for tensor in tensors.values():
            tensor.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError:
        return {**batch, **{name: tensor.numpy().copy() for name, tensor in tensors.items()}}
    return batch


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size into a `Batch`; raise DataError, naming the samples, if sizes differ."""
    sizes = {sample.label.shape for sample in samples}
    if len(sizes) > 1:
        ids = ", ".join(sample.id for sample in samples)
        raise DataError(
            f"samples {ids}", f"sizes {sorted(sizes)} in one batch", "crop them with augment to one size"
        )
    height, width = samples[0].label.shape
    image = torch.empty(len(samples), 3, height, width, dtype=torch.uint8)
    label = torch.empty(len(samples), height, width, dtype=torch.uint8)
    for i, sample in enumerate(samples):
        # Several times faster than a permuted copy in numpy or torch.
        cv2.split(sample.image, list(image[i].numpy()))
        label[i].numpy()[:] = sample.label
    return {"image": image, "label": label, "id": [sample.id for sample in samples]}


def collate_idle(samples: Sequence[Sample]) -> Batch:
    """Return a batch for a rank without images of its own; another rank counts its contents."""
    return {**collate(samples), "idle": True}


def start_worker(_worker: int) -> None:
    """Limit a loader process to one thread, and let only its parent end it."""
    heed_parent_alone()
    cv2.setNumThreads(0)  # OpenCV's threads would compete with the other loader processes for cores
