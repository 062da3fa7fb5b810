"""The labels of a whole optimizer step, for losses whose mean goes over more than one micro-batch.

The loss of a step is the mean over the labelled pixels of all its images, however many micro-batches and
devices they are divided among. A micro-batch's own mean therefore counts by its share of the step's labelled
pixels, which has to be known before the first backward pass: the loader reads a step ahead and hands over
its labels (see `data.loading.with_labels_of_step`).

Shape letters: `B` images, `H W` a map, `M` micro-batches of a step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segsweep.data.sample import IGNORE_INDEX
from segsweep.distributed.collectives import mean_over_ranks

Size = tuple[int, int]


def labels_at(labels: Tensor, size: Size) -> Tensor:
    """Labels [B, H, W] brought to a map's size by nearest-neighbour sampling; int64."""
    if tuple(labels.shape[-2:]) == size:
        return labels.long()
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()


def labelled_mass(labels: Tensor, class_weights: Tensor | None) -> Tensor:
    """The number of labelled pixels, or the sum of their class weights."""
    labelled = labels[labels != IGNORE_INDEX]
    if class_weights is None:
        return labels.new_tensor(labelled.numel()).float()
    return class_weights[labelled.long()].sum()


class WholeStep:
    """The labels [B, H, W] of this rank's micro-batches of one step, and what shares they hold of it."""

    def __init__(self, labels: Sequence[Tensor], class_weights: Tensor | None) -> None:
        self.labels, self.class_weights = labels, class_weights
        self._shares: dict[Size, Tensor] = {}

    def shares(self, size: Size) -> Tensor:
        """Each micro-batch's share of the labelled mass that a map of this size sees, over all ranks.

        float64 [M], which sums to 1; all alike if the step has no labelled pixel. All ranks must ask alike.
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
        """Its share of the step's labelled mass on a map of this size: a float64 scalar."""
        return self.step.shares(size)[self.index]

    def weight(self, size: Size) -> Tensor:
        """By what its mean loss counts, if the gradients of all micro-batches are then averaged."""
        return len(self.step.labels) * self.share(size)
