"""Losses over logits [B, K, H, W] and labels [B, H, W] (255 = ignored).

Every loss here is a mean over labelled pixels that is zero, not NaN, if there is none: a random crop of
nothing but void, or an auxiliary map that sees only padding, is ordinary input. In training the mean goes
over the pixels of all ranks and of all micro-batches of a step: each contributes its share, such that the
mean of these shares, which is what ranks and gradient accumulation make of gradients, is the loss. The share
of a micro-batch has to be known before the first backward pass: the loader reads a step ahead and hands over
its labels (see `data.loading.with_labels_of_step`).

Shape letters: `B` images, `K` classes, `H W` a map, `M` micro-batches of a step.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsweep.data.sample import IGNORE_INDEX
from segsweep.distributed.collectives import mean_over_ranks
from segsweep.errors import OptionError

Size = tuple[int, int]


def labels_at(labels: Tensor, size: Size) -> Tensor:
    """Bring labels [B, H, W] to the size of a map by nearest-neighbour sampling; int64."""
    if tuple(labels.shape[-2:]) == size:
        return labels.long()
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()


def labelled_mass(labels: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the number of labelled pixels, or the sum of their class weights."""
    labelled = labels[labels != IGNORE_INDEX]
    if class_weights is None:
        return labels.new_tensor(labelled.numel()).float()
    return class_weights[labelled.long()].sum()


class WholeStep:
    """The labels [B, H, W] of this rank's micro-batches of one step, and their shares of it."""

    def __init__(self, labels: Sequence[Tensor], class_weights: Tensor | None) -> None:
        self.labels, self.class_weights = labels, class_weights
        self._shares: dict[Size, Tensor] = {}

    def shares(self, size: Size) -> Tensor:
        """Return the share of each micro-batch in the labelled mass of a map of this size, over all ranks.

        float64 [M] that sums to 1; equal shares if the step has no labelled pixel. All ranks must call it.
        """
        if size not in self._shares:
            self._shares[size] = self._shares_at(size)
        return self._shares[size]

    def _shares_at(self, size: Size) -> Tensor:
        own = torch.stack(
            [labelled_mass(labels_at(labels, size), self.class_weights) for labels in self.labels]
        )
        masses = mean_over_ranks(own).double()
        whole = masses.sum()
        return torch.where(whole > 0, masses / whole, 1 / len(masses))


class MicroBatch:
    """One micro-batch of a step; `index` counts from 0."""

    def __init__(self, step: WholeStep, index: int) -> None:
        self.step, self.index = step, index

    def share(self, size: Size) -> Tensor:
        """Return its share of the step's labelled mass on a map of this size: a float64 scalar."""
        return self.step.shares(size)[self.index]

    def weight(self, size: Size) -> Tensor:
        """Return the weight of its mean loss, if the gradients of all micro-batches are then averaged."""
        return len(self.step.labels) * self.share(size)


class SegmentationLoss(nn.Module):
    """Main loss plus the weighted sum of the auxiliary losses.

    Subclasses compute the loss of one map in `map_loss`. Labels are brought to an auxiliary map's
    size by nearest-neighbour sampling (ATONet: the ground truth is downsampled, not the features up); a map
    that comes at the labels' size meets them as they are.
    """

    class_weights: Tensor | None

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
        """Scalar loss; `auxiliary` holds logits at their own sizes, `weights` their weights, 1 if missing.

        `part` is the micro-batch that the labels belong to, if a step has several.
        """
        loss = self._of_map(logits, labels, part)
        for name, other in (auxiliary or {}).items():
            loss = loss + (weights or {}).get(name, 1.0) * self._of_map(other, labels, part)
        return loss

    def _of_map(self, logits: Tensor, labels: Tensor, part: MicroBatch | None) -> Tensor:
        height, width = logits.shape[-2:]
        loss = self.map_loss(logits.float(), labels_at(labels, (height, width)))
        return loss if part is None else loss * part.weight((height, width)).float()

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of float logits [B, K, H, W] against int64 labels [B, H, W]; ends in `mean`."""
        raise NotImplementedError

    def mean(self, total: Tensor, mass: Tensor) -> Tensor:
        """Divide a sum over pixels by their number or weight: in training by its mean over all ranks.

        Validation gives ranks different numbers of images, so that no rank may wait for the others there.
        """
        if self.training:
            mass = mean_over_ranks(mass)
        return total / mass.clamp(min=torch.finfo(torch.float32).tiny)


class CrossEntropy(SegmentationLoss):
    """Mean cross-entropy over labelled pixels; with class weights, the weighted mean (as torch's own)."""

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Σ w·loss / Σ w over the labelled pixels."""
        total = F.cross_entropy(
            logits, labels, weight=self.class_weights, ignore_index=IGNORE_INDEX, reduction="sum"
        )
        return self.mean(total, labelled_mass(labels, self.class_weights))


class Ohem(SegmentationLoss):
    """Online hard example mining: the mean loss over the hardest pixels of the batch.

    A pixel is kept if its class has at most probability `threshold`, and the hardest `min_kept` (a share of
    the labelled pixels) are kept in any case. Ranks and micro-batches each choose among their own pixels.
    The mean goes over the kept pixels of all ranks. How many pixels the micro-batches to come will keep is
    not known before they are computed, so their means are weighted by labelled pixels instead: the same if
    each keeps the same share of its own, as with all pixels hard, or with the hardest `min_kept` alone.

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
        """Mean over kept pixels; zero if no pixel is labelled."""
        losses = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="none")
        valid = labels != IGNORE_INDEX
        kept = valid & (losses.detach() >= self._cut(losses.detach()[valid]))
        weights = kept.to(losses.dtype)
        if self.class_weights is not None:
            weights = weights * self.class_weights[labels.where(valid, torch.zeros_like(labels))]
        return self.mean((losses * weights).sum(), weights.sum())

    def _cut(self, losses: Tensor) -> float:
        """Return the least loss of a pixel that is kept."""
        if losses.numel() == 0:
            return 0.0
        hardest = math.ceil(self.min_kept * losses.numel())
        return min(self.largest_easy_loss, float(losses.topk(hardest).values[-1]))
