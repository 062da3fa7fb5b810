"""Parts with faults to order: a loss that is no number, a signal in mid-step, a network that needs memory.

What goes wrong in a real run goes wrong here for a given sample or step. The parts are named by `_target_`,
as a user's own are, and their options are part of the run; a `trigger` is a file, so that the same command
meets the fault once: it is removed as the fault happens.
"""

import json
import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segsweep.errors import ConfigError
from segsweep.networks.heads.none import NoPyramid
from segsweep.training.losses import CrossEntropy

LOSS, HEAD = "tests.support.faulty.FaultyLoss", "tests.support.faulty.HungryHead"


@dataclass
class Fault:
    """What happens to a batch that holds a label map (a JSON file, a list of rows).

    `kind` is nan, nan_gradient, error, wait (while the trigger is there) or a signal's number. Where a
    `trigger` is named it happens only if that file is there.
    """

    label: str
    kind: str
    trigger: str | None = None

    def is_due(self, labels: Tensor) -> bool:
        wanted = torch.tensor(json.loads(Path(self.label).read_text())).to(labels)
        if not any(torch.equal(one, wanted) for one in labels):
            return False
        if self.trigger is None:
            return True
        while self.kind == "wait" and Path(self.trigger).exists():
            time.sleep(0.02)
        there = Path(self.trigger).exists()
        Path(self.trigger).unlink(missing_ok=True)
        return there

    def happen(self, logits: Tensor, loss: Tensor) -> Tensor:
        if self.kind.isdigit():
            os.kill(os.getpid(), int(self.kind))
        if self.kind == "error":
            raise RuntimeError("a fault to order")
        if self.kind == "nan_gradient":
            return loss + (logits * 0).abs().sqrt().sum()  # zero, and its slope is 0 × ∞
        return loss * float("nan") if self.kind == "nan" else loss


class FaultyLoss(CrossEntropy):
    """Cross-entropy with faults, in training alone."""

    def __init__(
        self, faults: Sequence[Mapping[str, Any]], class_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(class_weights)
        self.faults = [Fault(**{**fault, "kind": str(fault["kind"])}) for fault in faults]

    def map_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = super().map_loss(logits, labels)
        for fault in self.faults:
            if torch.is_grad_enabled() and fault.is_due(labels):
                loss = fault.happen(logits, loss)
        return loss


class HungryHead(NoPyramid):
    """A head that needs more memory than there is for more than `limit` images, after `calls` steps.

    Args:
        real: ask the machine for memory that this process may not have, in place of saying so at once.
    """

    def __init__(self, *network: Any, limit: int, calls: int = 0, real: bool = False, **options: Any) -> None:
        super().__init__(*network, **options)
        self.limit, self.calls, self.real = limit, calls, real

    def forward(self, features: Sequence[Tensor]) -> Any:
        if self.training:
            self.calls -= 1
            images = len(features[-1])
            if self.calls < 0 and self.real:
                allocate(images * 2**28, at_most=self.limit * 2**28 + 2**27)
            elif self.calls < 0 and images > self.limit:
                raise torch.OutOfMemoryError(f"{images} images do not fit")
        return super().forward(list(features))


class LateHead(NoPyramid):
    """A head that refuses its options as soon as there is a planned run in a folder: planning finds nothing.

    Args:
        planned: the folder.
    """

    def __init__(self, *network: Any, planned: str, refuse: bool, **options: Any) -> None:
        super().__init__(*network, **options)
        if refuse and any(Path(planned).glob("*/plan.json")):
            raise ConfigError(f"head.refuse={refuse}: refused late")


def allocate(size: int, at_most: int) -> None:
    """Take so many bytes of memory, where this process may have only so many more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + at_most, before[1]))
    try:
        torch.empty(size, dtype=torch.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
