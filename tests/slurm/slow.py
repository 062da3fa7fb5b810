"""A loss that takes its time where the environment says so, so that runs last on fast machines too."""

import os
import time
from typing import Any

from torch import Tensor

from segsweep.training.losses import CrossEntropy

LOSS = "tests.slurm.slow.SlowLoss"
SECONDS = "SLOW_LOSS_SECONDS"


class SlowLoss(CrossEntropy):
    """Cross-entropy after a pause: the same bits at any pace."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        time.sleep(float(os.environ.get(SECONDS, "0")))
        return super().forward(*args, **kwargs)
