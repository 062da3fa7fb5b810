"""Which of torch's algorithms a run trains with on a GPU: those that give the same bits each time, or any.

cuDNN's fastest kernel for a convolution is found by timing several, with another outcome in each process.
Some kernels add with atomics, in the order in which threads arrive. Both are excluded by default, so that a
killed run resumes to the same weights. On CPUs there is nothing to choose. docs/reliability.md lists the
operations.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.backends import cudnn

filling: Any = torch.utils.deterministic  # a module that acts through attributes

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
NO_KERNEL = r"(\S+) does not have a deterministic implementation"
NO_WORKSPACE = r"Deterministic behavior was enabled .* it uses CuBLAS"


@contextmanager
def algorithms(deterministic: bool, tell: Callable[[str], None]) -> Iterator[None]:
    """Choose algorithms for the training in this block, and restore the choice after it.

    Args:
        deterministic: Whether only deterministic ones are wanted. An operation that has none is used
            nevertheless.
        tell: Called with the name of each such operation, once.
    """
    before = cudnn.deterministic, cudnn.benchmark, filling.fill_uninitialized_memory
    mode = _mode()
    if deterministic:
        # cuBLAS reads it when it starts, so that there is no taking it back.
        os.environ.setdefault(WORKSPACE, ":4096:8")
    try:
        filling.fill_uninitialized_memory = False  # it is for finding errors, and costs time
        cudnn.deterministic, cudnn.benchmark = deterministic, not deterministic
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        with _telling(tell):
            yield
    finally:
        _restore(mode)
        cudnn.deterministic, cudnn.benchmark, filling.fill_uninitialized_memory = before


def _mode() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _restore(mode: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])


@contextmanager
def _telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` in place of torch's warnings; it gives those of a backward pass in this thread."""
    told = set()
    with warnings.catch_warnings():
        for pattern in (NO_KERNEL, NO_WORKSPACE):
            warnings.filterwarnings("default", message=pattern)
        show = warnings.showwarning

        def told_or_shown(message: Warning | str, *args: Any, **more: Any) -> None:
            name = operation(str(message))
            if name is None:
                show(message, *args, **more)
            elif name not in told:
                told.add(name)
                tell(name)

        warnings.showwarning = told_or_shown
        yield


def operation(warning: str) -> str | None:
    """Return the operation that a warning of torch's says has no deterministic kernel."""
    if found := re.match(NO_KERNEL, warning):
        return found[1]
    return f"CuBLAS with {WORKSPACE}={os.environ.get(WORKSPACE)}" if re.match(NO_WORKSPACE, warning) else None


class Unrestricted(Callback):
    """Validate under torch's defaults; training's choice of algorithms continues afterwards.

    Images of many sizes are not worth timing kernels for. Nothing in a validation adds floats with atomics,
    but libraries that count pixels become slow or large in deterministic mode.
    """

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Turn deterministic mode and timing off."""
        self.mode, self.timed = _mode(), cudnn.benchmark
        torch.use_deterministic_algorithms(False)
        cudnn.benchmark = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Turn them on again."""
        _restore(self.mode)
        cudnn.benchmark = self.timed
