"""Losses over logits [B, K, H, W] and labels [B, H, W] (255 = ignored).

Every loss is a mean over labelled pixels, and zero rather than NaN without any: a crop of void pixels, or an
auxiliary map of padding, is ordinary input. In training the mean goes over the pixels of all ranks and
micro-batches of a step: each is weighted such that the mean which DDP and gradient accumulation take of the
gradients is the gradient of the loss. The shares of micro-batches must be known before the first backward
pass, so the loader reads a step ahead and provides its labels (see `data.loading.with_labels_of_step`).

Shape letters: `B` images, `K` classes, `H W` a map, `M` micro-batches of a step.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.data.sample import IGNORE_INDEX
from segsweep.distributed.collectives import mean_over_ranks
from segsweep.errors import OptionError

Size = tuple[int, int]


def labels_at(labels: Tensor, size: Size) -> Tensor:
    """Resize labels [B, H, W] to a map's size by nearest-neighbour sampling; int64."""
    if tuple(labels.shape[-2:]) == size:
        return labels.long()
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()


def labels_in_cascade(labels: Tensor, size: Size) -> Tensor:
    """Resize labels [B, H, W] to a map's size by way of 1/4, 1/8, …, as ATONet's released code does; int64.

    Each is the one before at half its size, rounded up; a label stands for those below and beside it. Where
    sizes halve without rest the top left one of each cell is left in the end.
    """
    height, width = labels.shape[-2:]
    step = 4
    while tuple(labels.shape[-2:]) != size:
        sides = -(-height // step), -(-width // step)
        between = sides if min(sides) > min(size) and max(sides) > max(size) else size
        labels = F.interpolate(labels[:, None].float(), size=between, mode="nearest")[:, 0]
        step *= 2
    return labels.long()


def labelled_mass(labels: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the number of labelled pixels, or the sum of their class weights."""
    labelled = labels != IGNORE_INDEX
    if class_weights is None:
        return labelled.sum().float()
    return pixel_weights(labels, class_weights).sum()


def pixel_weights(labels: Tensor, class_weights: Tensor) -> Tensor:
    """Return each pixel's class weight, 0 if it is ignored; a selection's size would have to be read."""
    labelled = labels != IGNORE_INDEX
    return class_weights[labels.long().where(labelled, 0)] * labelled


class WholeStep:
    """The labels [B, H, W] of this rank's micro-batches of one step, and their shares of it."""

    def __init__(
        self, labels: Sequence[Tensor], resized: Callable[[Tensor, Size], Tensor] = labels_at
    ) -> None:
        self.labels, self.resized = labels, resized
        self._shares: dict[tuple[Size, int | None], Tensor] = {}

    def shares(self, size: Size, class_weights: Tensor | None = None) -> Tensor:
        """Return the share of each micro-batch in the labelled mass of a map of this size, over all ranks.

        float64 [M] that sums to 1; equal shares if the step has no labelled pixel. All ranks must call it.
        """
        key = size, None if class_weights is None else id(class_weights)
        if key not in self._shares:
            own = [labelled_mass(self.resized(labels, size), class_weights) for labels in self.labels]
            masses = mean_over_ranks(torch.stack(own)).double()
            whole = masses.sum()
            self._shares[key] = torch.where(whole > 0, masses / whole, 1 / len(masses))
        return self._shares[key]


class MicroBatch:
    """One micro-batch of a step; `index` counts from 0."""

    def __init__(self, step: WholeStep, index: int) -> None:
        self.step, self.index = step, index

    def share(self, size: Size, class_weights: Tensor | None = None) -> Tensor:
        """Return its share of the step's labelled mass on a map of this size: a float64 scalar."""
        return self.step.shares(size, class_weights)[self.index]

    def weight(self, size: Size, class_weights: Tensor | None = None) -> Tensor:
        """Return the weight of its mean loss, given that the micro-batches' gradients are averaged."""
        return len(self.step.labels) * self.share(size, class_weights)


def pixel_losses(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of each pixel, times its class weight [B, H, W]; zero where it is ignored.

    On CUDA torch's own sum over pixels adds with atomics, in any order: that of single losses does not.
    """
    classes, shape = logits.shape[1], labels.shape
    last = logits.is_contiguous(memory_format=torch.channels_last) and not logits.is_contiguous()
    if last and classes >= 16:  # rows of pixels, a view: a third of the time, but on CPUs slower below 16
        logits, labels = logits.permute(0, 2, 3, 1).reshape(-1, classes), labels.flatten()
    losses = F.cross_entropy(logits, labels, class_weights, ignore_index=IGNORE_INDEX, reduction="none")
    return losses.view(shape)


def class_presence(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of logits [B, K] for the classes that labels [B, H, W] have.

    EncNet's semantic encoding loss (§3.2): every class counts alike, however few pixels it has.
    """
    there = torch.stack([(labels == k).flatten(1).any(dim=1) for k in range(logits.shape[1])], dim=1)
    return F.binary_cross_entropy_with_logits(logits.float(), there.float(), reduction="none").mean()


class SegmentationLoss(nn.Module):
    """Main loss plus the weighted sum of the auxiliary losses.

    Subclasses compute the loss of one map in `map_loss`. Labels are resized to an auxiliary map's size by
    nearest-neighbour sampling (ATONet: the ground truth is downsampled rather than the features upsampled),
    with `labels_at` unless the network wants `labels_in_cascade`.
    """

    class_weights: Tensor | None
    resized: Callable[[Tensor, Size], Tensor] = staticmethod(labels_at)

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        weights = None if class_weights is None else torch.tensor([float(w) for w in class_weights])
        self.register_buffer("class_weights", weights)

    def check(self, num_classes: int) -> None:
        """Raise ConfigError unless there is one non-negative weight for each class."""
        weights = self.class_weights
        if weights is None:
            return
        if len(weights) != num_classes or bool((weights < 0).any()) or not weights.any():
            expected = f"{num_classes} numbers, one a class, none negative, not all zero"
            raise OptionError("class_weights", weights.tolist(), expected)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        auxiliary: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, float] | None = None,
        part: MicroBatch | None = None,
    ) -> Tensor:
        """Return the scalar loss.

        `auxiliary` holds logits of any sizes, `weights` their weights (default 1). Logits [B, K] among them
        say which classes an image has, and get `class_presence`. `part` is the micro-batch of these labels,
        if a step has several.
        """
        loss = self._of_map(logits, labels, part)
        for name, other in (auxiliary or {}).items():
            loss = loss + (weights or {}).get(name, 1.0) * self._of_auxiliary(other, labels, part)
        return loss

    def with_parts(
        self,
        logits: Tensor,
        labels: Tensor,
        auxiliary: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, float] | None = None,
        part: MicroBatch | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the scalar loss and, of a sum of several, each one's value [P], without gradient."""
        return self(logits, labels, auxiliary, weights, part), None

    def resize_labels_by(self, resized: Callable[[Tensor, Size], Tensor]) -> None:
        """Resize labels to an auxiliary map's size by this function."""
        self.resized = resized

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the losses that a sum consists of; none for a single loss."""
        return ()

    def _of_auxiliary(self, logits: Tensor, labels: Tensor, part: MicroBatch | None) -> Tensor:
        return class_presence(logits, labels) if logits.dim() == 2 else self._of_map(logits, labels, part)

    def _of_map(self, logits: Tensor, labels: Tensor, part: MicroBatch | None) -> Tensor:
        height, width = logits.shape[-2:]
        loss = self.map_loss(logits.float(), self.resized(labels, (height, width)))
        return loss if part is None else loss * part.weight((height, width), self.class_weights).float()

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar loss of float logits [B, K, H, W] and int64 labels [B, H, W], using `mean`."""
        raise NotImplementedError

    def mean(self, total: Tensor, mass: Tensor) -> Tensor:
        """Divide a sum over pixels by their number or weight, in training by its mean over all ranks.

        In validation ranks have different numbers of images, so that none may wait for the others.
        """
        if self.training:
            mass = mean_over_ranks(mass)
        return total / mass.clamp(min=torch.finfo(torch.float32).tiny)


class CrossEntropy(SegmentationLoss):
    """Mean cross-entropy over labelled pixels; with class weights, the weighted mean (as torch's own)."""

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return Σ w·loss / Σ w over the labelled pixels."""
        total = pixel_losses(logits, labels, self.class_weights).sum()
        return self.mean(total, labelled_mass(labels, self.class_weights))


class Ohem(SegmentationLoss):
    """Online hard example mining: the mean loss over the hardest pixels of the batch.

    A pixel is kept if its class has at most probability `threshold`, and the hardest `min_kept` (a share of
    the labelled pixels) are kept in any case. Ranks and micro-batches each choose among their own pixels.
    The mean goes over the kept pixels of all ranks. How many pixels later micro-batches keep is not known in
    advance, so their means are weighted by labelled pixels instead, which is the same if each keeps the same
    share of its own, as when all pixels are hard, or only the hardest `min_kept` are kept.

    Raises:
        ConfigError: a threshold or share outside (0, 1].
    """

    def __init__(
        self, threshold: float = 0.7, min_kept: float = 0.0625, class_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(class_weights)
        for name, value in (("threshold", threshold), ("min_kept", min_kept)):
            if not 0 < value <= 1:
                raise OptionError(name, value, "a number above 0, at most 1")
        self.largest_easy_loss = -math.log(threshold)
        self.min_kept = min_kept

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over kept pixels; zero if no pixel is labelled."""
        losses = pixel_losses(logits, labels)
        valid = labels != IGNORE_INDEX
        kept = valid & (losses.detach() >= self._cut(losses.detach(), valid))
        weights = kept.to(losses.dtype)
        if self.class_weights is not None:
            weights = weights * pixel_weights(labels, self.class_weights)
        return self.mean((losses * weights).sum(), weights.sum())

    def _cut(self, losses: Tensor, valid: Tensor) -> Tensor:
        """Return the smallest loss that a kept pixel may have: a scalar."""
        # As many as are hardest if all pixels are labelled: how many are is known on the device only.
        most = math.ceil(self.min_kept * losses.numel())
        hardest = losses.where(valid, -1.0).flatten().topk(most).values
        last = (self.min_kept * valid.sum().double()).ceil().long() - 1
        return hardest.take(last.clamp(min=0)).clamp(max=self.largest_easy_loss)
