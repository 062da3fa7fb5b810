"""`trainer.compile`: torch.compile for the training step, which has one shape, as crops have one size."""

from typing import Any

import torch
from torch import Tensor

from segsweep.errors import ConfigError
from segsweep.training.losses import MicroBatch
from segsweep.training.sync_batchnorm import CpuSyncBatchNorm
from segsweep.training.task import Compute, SegmentationTask

BACKEND: Any = "inductor"


def compile_step(task: SegmentationTask, device: torch.device, at_once: bool) -> None:
    """Compile a task's training pass; the work is done at the first micro-batch.

    Functions are compiled, not modules: names in checkpoints, and validation, stay as they are. A step
    `at_once`, of one rank and one micro-batch, is compiled with its loss, and on a GPU becomes CUDA graphs.
    Otherwise ranks and micro-batches weight the loss among them, outside. Then there are no CUDA graphs:
    their gradients lie in memory that the next graph overwrites, while accumulation and DDP still add to
    them (https://github.com/pytorch/pytorch/issues/169545).

    Raises:
        ConfigError: torch finds no compiler that works here, or BatchNorm is synchronised over gloo, for
            whose many layers of different widths torch would compile again and again.
    """
    if any(isinstance(module, CpuSyncBatchNorm) for module in task.modules()):
        raise ConfigError(
            "trainer.compile=true: not with BatchNorm synchronised over several processes of a CPU; set "
            "trainer.sync_batchnorm=false or trainer.compile=false"
        )
    check_compiler(device)
    if not at_once:
        task.forward_train = torch.compile(task.forward_train, dynamic=False, backend=BACKEND)
        return
    graphs = device.type == "cuda"
    mode = "reduce-overhead" if graphs else None
    compiled = torch.compile(task.compute, dynamic=False, backend=BACKEND, mode=mode)
    task.compute = _replayed(compiled) if graphs else compiled


def _replayed(compiled: Compute) -> Compute:
    def compute(image: Tensor, label: Tensor, part: MicroBatch | None) -> tuple[Tensor, Tensor | None]:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        # A graph's next run overwrites its results, and losses are kept until they are read.
        loss, parts = compiled(image, label, part)
        return loss.clone(), None if parts is None else parts.clone()

    return compute


def check_compiler(device: torch.device) -> None:
    """Compile a trifle.

    Raises:
        ConfigError: torch finds no compiler that works here.
    """
    try:
        torch.compile(_trifle, dynamic=False, backend=BACKEND)(torch.ones(8, device=device))
    except Exception as error:  # each backend has its own
        inner = getattr(error, "inner_exception", error)
        said = next(iter(str(inner).strip().splitlines()), type(inner).__name__)
        raise ConfigError(
            f"trainer.compile=true: torch.compile does not work here ({said}); install a C++ compiler "
            "(and Triton for a GPU), or set trainer.compile=false"
        ) from error


def _trifle(x: Tensor) -> Tensor:
    return (x + 1).relu()
