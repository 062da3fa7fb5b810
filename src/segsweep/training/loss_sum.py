"""A weighted sum of losses."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from segsweep.errors import ConfigError, OptionError
from segsweep.training.losses import MicroBatch, SegmentationLoss, Size


class Sum(SegmentationLoss):
    """Σ weight · loss over several losses, each with its own class weights and its auxiliary losses.

    Args:
        terms: the losses by name, added in the order of their names.
        weights: of terms; 1 if one is not named.

    Raises:
        OptionError: a weight that is no number of at least 0 or of no term, or all weights 0.
    """

    def __init__(self, terms: Mapping[str, SegmentationLoss], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not terms:
            raise OptionError(
                "terms", problem="none", remedy="give several losses: loss=[cross_entropy,dice]"
            )
        if unknown := sorted(weights.keys() - terms.keys()):
            raise OptionError(f"weights.{unknown[0]}", problem="no such term", near=list(terms))
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise OptionError(f"weights.{name}", weight, "a number of at least 0")
        self.terms = dict(sorted(terms.items()))
        self.modules_of_terms = nn.ModuleList(self.terms.values())  # moved to the device with this
        self.weights = {name: float(weights.get(name, 1)) for name in self.terms}
        if not any(self.weights.values()):
            raise OptionError("weights", dict(weights), "one above 0")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the terms."""
        return tuple(self.terms)

    def check(self, num_classes: int) -> None:
        """Check each term against the number of classes."""
        for name, term in self.terms.items():
            try:
                term.check(num_classes)
            except ConfigError as error:
                error.within(f"terms.{name}")
                raise

    def resize_labels_by(self, resized: Callable[[Tensor, Size], Tensor]) -> None:
        """Resize labels by this function, in the terms as well."""
        super().resize_labels_by(resized)
        for term in self.terms.values():
            term.resize_labels_by(resized)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        auxiliary: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, float] | None = None,
        part: MicroBatch | None = None,
    ) -> Tensor:
        """Return the sum alone."""
        return self.with_parts(logits, labels, auxiliary, weights, part)[0]

    def with_parts(
        self,
        logits: Tensor,
        labels: Tensor,
        auxiliary: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, float] | None = None,
        part: MicroBatch | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the sum, and each term's value before it is weighted, [P] without gradient."""
        values = [term(logits, labels, auxiliary, weights, part) for term in self.terms.values()]
        weighted = [self.weights[name] * value for name, value in zip(self.terms, values, strict=True)]
        return torch.stack(weighted).sum(), torch.stack(values).detach()
