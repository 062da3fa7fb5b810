"""The expected cost of a run: memory of a training step, arithmetic, time, and disk for its checkpoints.

Memory and arithmetic are counted on the meta device from the configuration alone. Time is taken from finished
runs of the same network, crop and batch if there are any, else estimated from the arithmetic. Costs are
cached for runs that differ only in settings without an effect on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from segsweep.builders import build
from segsweep.config.schema import NETWORK, RunConfig
from segsweep.distributed.ranks import processes
from segsweep.networks import Segmenter
from segsweep.profiling.size import macs, on_meta, parameters, saved_for_backward
from segsweep.rules import micro_batch
from segsweep.runs.contents import Environment, State
from segsweep.runs.folder import all_runs
from segsweep.runs.settings import flatten
from segsweep.training.optimizers import freeze

PASSES = 3  # forward, and backward for the maps and for the weights
AT_THE_LOSS = 3  # of the logits' size in float32: themselves, their log-softmax and its gradient
PARTS = (*NETWORK, "size", "batch_size")
SETTINGS = ("trainer.precision", "trainer.accumulate_grad_batches", "trainer.freeze")
NO_COST = ("network.pretrained", "network.weights", "backbone.pretrained", "backbone.weights")


def kind(settings: Mapping[str, Any]) -> str:
    """Return a text that is equal for runs whose steps cost the same; `settings` have dotted keys."""
    counted = [key for key in settings if key.split(".")[0] in PARTS or key in SETTINGS]
    return repr(sorted((key, settings[key]) for key in counted if key not in NO_COST))


@dataclass(frozen=True)
class Cost:
    """The cost of a run's network: number of parameters, MACs of one image's inference, otherwise bytes.

    `activations` are those kept for the backward pass of a device's micro-batch, and copies of the logits in
    the loss.
    """

    parameters: int
    macs: float
    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def memory(self) -> int:
        """Bytes of a training step on one device, without convolution workspaces and the CUDA context."""
        return self.weights + self.gradients + self.optimizer + self.average + self.activations

    @property
    def checkpoints(self) -> int:
        """Bytes of last.ckpt (weights, optimizer, average) and best.ckpt (weights)."""
        return 2 * self.weights + self.optimizer + self.average


_costs: dict[str, Cost] = {}


def cost(config: RunConfig) -> Cost:
    """Return the cost of a run of this resolved configuration.

    Raises:
        UserError: the network cannot be built.
    """
    # Only whether the optimizer's numbers are zero matters: without momentum SGD keeps no state.
    optimizer = {k: bool(v) if isinstance(v, int | float) else v for k, v in config.optimizer.items()}
    averaged = config.trainer.ema_decay is not None
    key = f"{kind(dict(flatten(config)))} {processes(config)} {sorted(optimizer.items())} {averaged}"
    if key in _costs:
        return _costs[key]
    precision = config.trainer.precision
    dtypes = {"64": torch.float64, "32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
    computed = dtypes[precision.partition("-")[0]]
    stored = computed if precision.endswith("-true") else torch.float32  # mixed precision keeps float32
    segmenter, parts = _frozen(config, stored), parameters(on_meta(config))
    weights = _bytes([*segmenter.parameters(), *segmenter.buffers()])
    _costs[key] = Cost(
        parameters=parts["encoder"] + parts["head"],
        macs=macs(on_meta(config), config.size),
        weights=weights,
        gradients=_bytes([p for p in segmenter.parameters() if p.requires_grad]),
        optimizer=_optimizer_state(config, segmenter),
        average=weights if averaged else 0,
        activations=_activations(config, computed),
    )
    return _costs[key]


def _activations(config: RunConfig, dtype: torch.dtype) -> int:
    accumulated = config.trainer.accumulate_grad_batches
    images = micro_batch(config.batch_size, processes(config), accumulated)
    image = torch.empty(images, 3, *config.size, dtype=torch.uint8, device="meta")
    logits = 4 * images * int(config.num_classes) * prod(config.size)
    return saved_for_backward(_frozen(config, dtype), image) + AT_THE_LOSS * logits


def _optimizer_state(config: RunConfig, segmenter: Segmenter) -> int:
    """Return the bytes of the optimizer's state after a first step."""
    optimizer = build(config, "optimizer")(segmenter)
    for parameter in segmenter.parameters():
        parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    kept = [value for state in optimizer.state.values() for value in state.values()]
    return _bytes([value for value in kept if isinstance(value, Tensor)])


def _frozen(config: RunConfig, dtype: torch.dtype) -> Segmenter:
    segmenter = on_meta(config, dtype)
    freeze(segmenter, config.trainer.freeze)
    return segmenter


def _bytes(tensors: list[Tensor]) -> int:
    return sum(int(tensor.nbytes) for tensor in tensors)


def hours(macs: float, images: int, tflops: float) -> float:
    """Return the hours of training on so many images of `macs` MACs each, at `tflops`."""
    return PASSES * 2 * macs * images / (tflops * 1e12) / 3600


@dataclass(frozen=True)
class Pace:
    """Device seconds per step including validation: the median of finished runs on one kind of device."""

    seconds: float
    device: str


def paces(runs_dir: Path) -> dict[str, Pace]:
    """Return the pace of each kind of finished run in a folder, on the device of the newest one."""
    found: dict[str, list[Pace]] = {}
    for run in all_runs(runs_dir):
        status = run.status()
        if status.state is not State.DONE or not status.train_seconds or not status.step:
            continue
        environment = run.environment() or Environment()
        device = environment.gpus[0] if environment.gpus else "a CPU"
        pace = Pace(environment.ranks * status.train_seconds / status.step, device)
        found.setdefault(kind(run.plan.identity), []).append(pace)
    return {
        key: Pace(median(pace.seconds for pace in some if pace.device == some[-1].device), some[-1].device)
        for key, some in found.items()
    }
