"""What a validation adds up over its images: kept on the device, which is never waited for.

torchmetrics' confusion matrix and its mean read values back with each image (they look for ignored pixels and
for NaN), and so does `torch.bincount`.

Shape letters: `B` images, `K` classes, `H W` their size.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from segsweep.data.sample import IGNORE_INDEX


class ValidationSums(Metric):
    """The confusion matrix of all images and the sum of their losses, over all ranks."""

    full_state_update = False
    matrix: Tensor
    loss: Tensor
    images: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        # One row for each value of a label, so that ignored pixels need not be found.
        rows = torch.zeros(IGNORE_INDEX + 1, num_classes, dtype=torch.int64)
        self.add_state("matrix", rows, dist_reduce_fx="sum")
        self.add_state("loss", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor, losses: Tensor) -> None:
        """Add images: prediction and label [B, H, W], 255 ignored in the label, and their losses [B]."""
        pair = (label.long() * self.num_classes + prediction).reshape(-1)
        # Integers add up to the same in any order: atomics do no harm here.
        self.matrix.view(-1).scatter_add_(0, pair, torch.ones_like(pair))
        self.loss += losses.double().sum()
        self.images += len(losses)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the confusion matrix int64 [K, K], rows truth, and the mean of the images' losses."""
        return self.matrix[: self.num_classes], self.loss / self.images
