"""Focal loss; and those of segmentation-models-pytorch (MIT) under our rules for ignored pixels and ranks.

Dice and Lovász are ratios over all pixels of a batch, and no means over pixels. Ranks and micro-batches each
have their own, weighted by their labelled pixels: another number of them is another loss, as for OHEM.

Shape letters as in losses.py; p is the softmax of the logits, y the labels as one-hot maps, zero if ignored.
"""

from collections.abc import Sequence
from typing import Any

from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss, LovaszLoss  # type: ignore[import-untyped]
from torch import Tensor

from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import OptionError
from segsweep.training.losses import SegmentationLoss, labelled_mass, pixel_losses, pixel_weights


class Focal(SegmentationLoss):
    """Focal loss (Lin et al., ICCV 2017): the mean of −(1 − p)^`gamma` log p, p that of the true class.

    Of softmax probabilities, as classes exclude one another; the paper has a sigmoid for each. Class weights,
    its α, make a weighted mean.

    Raises:
        OptionError: a `gamma` other than 0 below 1, whose gradient is not finite where p rounds to 1.
    """

    def __init__(self, gamma: float = 2.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(class_weights)
        if gamma != 0 and not gamma >= 1:
            raise OptionError("gamma", gamma, "0, or a number of at least 1")
        self.gamma = gamma

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return Σ w·loss / Σ w over the labelled pixels."""
        losses = pixel_losses(logits, labels)
        losses = losses * (1 - (-losses).exp()) ** self.gamma
        if self.class_weights is not None:
            losses = losses * pixel_weights(labels, self.class_weights)
        return self.mean(losses.sum(), labelled_mass(labels, self.class_weights))


class RegionLoss(SegmentationLoss):
    """A loss of whole regions: `criterion` takes logits [B, K, H, W] and labels [B, H, W]."""

    criterion: Any

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the criterion's value, weighted among ranks by labelled pixels; zero without any."""
        # A sum, as Lovász's loss of void pixels alone is a tensor without elements.
        value, mass = self.criterion(logits, labels).sum(), labelled_mass(labels, self.class_weights)
        return self.mean(value * mass, mass)


class Dice(RegionLoss):
    """Soft Dice loss: the mean over all K classes of 1 − (2 Σ p y + s) / (Σ p + Σ y + s), s = 2 `smooth`.

    The sums go over the labelled pixels of the batch. A class without a pixel there adds nothing to the sum
    of which the mean is taken (Milletari et al., 3DV 2016, without squares). Labels become one-hot maps of
    64-bit numbers: 8 B K H W bytes.

    Args:
        smooth: added to the numerator, and to the denominator once.
        log_loss: Whether −log of the ratio is taken instead of 1 − ratio.
        class_weights: one number per class, for a weighted mean over classes.

    Raises:
        OptionError: a negative `smooth`.
    """

    def __init__(
        self, smooth: float = 0.0, log_loss: bool = False, class_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(class_weights)
        if not smooth >= 0:
            raise OptionError("smooth", smooth, "a number of at least 0")
        self.criterion = DiceLoss(
            MULTICLASS_MODE, smooth=smooth, log_loss=log_loss, ignore_index=IGNORE_INDEX
        )

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; the weights are where the logits are, or the library would copy them each time."""
        self.criterion.class_weights = self.class_weights
        return super().map_loss(logits, labels)


class Lovasz(RegionLoss):
    """Lovász-Softmax: a convex surrogate of 1 − mIoU, over the classes present (Berman et al., CVPR 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.criterion = LovaszLoss(MULTICLASS_MODE, ignore_index=IGNORE_INDEX)
