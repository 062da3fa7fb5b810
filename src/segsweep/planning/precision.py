"""Which precision a run trains in, decided where it is planned, because it is part of what the run is."""

from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config.trainer import AUTO

FULL, MIXED = "32-true", "bf16-mixed"
DRIVERS = ("nvidia[0-9]*", "kfd", "dxg")
"""Device files of CUDA, of ROCm, and of CUDA within Windows."""


def with_precision(trainer: dict[str, Any]) -> dict[str, Any]:
    """Return the options `trainer.*` with `precision=auto` replaced by what this machine trains in."""
    if trainer.get("precision") != AUTO:
        return trainer
    on_gpu = trainer.get("accelerator") != "cpu" and has_bf16()
    return {**trainer, "precision": MIXED if on_gpu else FULL}


@cache
def has_bf16() -> bool:
    """Return whether this machine's GPU computes in bfloat16, without imitating it by float32."""
    if not any(any(Path("/dev").glob(name)) for name in DRIVERS):
        return False
    import torch  # takes seconds, and most plans on machines without a GPU need none of it

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
