"""What one run will cost: memory of a training step, arithmetic, and disk for its checkpoints.

All of it is estimated from the configuration on the meta device, with nothing of the data set read. Runs that
differ in their seed alone, or in whatever changes no cost, are counted once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from segsweep.build import build, build_segmenter, trainer_settings
from segsweep.distributed.ranks import processes
from segsweep.networks import Segmenter
from segsweep.profiling import counts, memory
from segsweep.rules import micro_batch
from segsweep.training.freezing import freeze

Config = Mapping[str, Any]
PASSES = 3  # forward, and backward for the maps and for the weights
AT_THE_LOSS = 3  # of the logits' size in float32: themselves, their log-softmax and its gradient


@dataclass(frozen=True)
class Cost:
    """What a run's network costs, in bytes but for its parameters and the MACs of an image's inference.

    `activations` are those kept for the backward pass of a device's micro-batch, and the logits' copies at
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
        """Bytes of a training step on one device, without workspaces of convolutions and the CUDA context."""
        return self.weights + self.gradients + self.optimizer + self.average + self.activations

    @property
    def checkpoints(self) -> int:
        """Bytes of last.ckpt, which has all that going on takes, and of best.ckpt, which has weights."""
        return 2 * self.weights + self.optimizer + self.average


def cost(config: Config) -> Cost:
    """The cost of a run of this resolved configuration.

    Raises:
        UserError: as the network's parts raise it.
    """
    accumulated = trainer_settings(config).accumulate_grad_batches
    images = micro_batch(config["batch_size"], processes(config), accumulated)
    key = json.dumps([images, *_shape(config)], sort_keys=True)
    if key not in _known:
        _known[key] = _cost(config, images)
    return _known[key]


_known: dict[str, Cost] = {}


def _shape(config: Config) -> list[Any]:
    """What of a configuration decides its cost: not where weights come from, nor a learning rate."""
    trainer, encoder = config["trainer"], {"pretrained": False, "weights": None}
    optimizer = {key: _is_used(value) for key, value in config["optimizer"].items()}
    return [
        {**config["backbone"], **encoder},
        *(config[key] for key in ("head", "num_classes", "size")),
        optimizer,
        *(trainer[key] for key in ("precision", "freeze")),
        trainer["ema_decay"] is None,
    ]


def _is_used(value: Any) -> Any:
    """A number only counts by whether it is zero, as SGD keeps no momentum of none."""
    return bool(value) if isinstance(value, int | float) else value


def hours(cost: Cost, images: int, tflops: float) -> float:
    """Hours of training on so many images, at so many 10^12 operations a second."""
    return PASSES * 2 * cost.macs * images / (tflops * 1e12) / 3600


def _cost(config: Config, images: int) -> Cost:
    precision, parts = config["trainer"]["precision"], counts.parameters(_on_meta(config))
    segmenter = _frozen(config, _stored(precision))
    weights = _bytes([*segmenter.parameters(), *segmenter.buffers()])
    return Cost(
        parameters=parts["encoder"] + parts["head"],
        macs=counts.macs(_on_meta(config), config["size"]),
        weights=weights,
        gradients=_bytes([p for p in segmenter.parameters() if p.requires_grad]),
        optimizer=_optimizer_state(config, segmenter),
        average=weights if config["trainer"]["ema_decay"] is not None else 0,
        activations=_activations(config, images),
    )


def _activations(config: Config, images: int) -> int:
    segmenter = _frozen(config, _computed(config["trainer"]["precision"]))
    image = torch.empty(images, 3, *config["size"], dtype=torch.uint8, device="meta")
    logits = 4 * images * int(config["num_classes"]) * prod(config["size"])
    return memory.saved_for_backward(segmenter, image) + AT_THE_LOSS * logits


def _optimizer_state(config: Config, segmenter: Segmenter) -> int:
    """Bytes that the optimizer keeps after its first step, as it makes them itself."""
    optimizer = build(config, "optimizer")(segmenter)
    for parameter in segmenter.parameters():
        parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    kept = [value for state in optimizer.state.values() for value in state.values()]
    return _bytes([value for value in kept if isinstance(value, Tensor)])


def _on_meta(config: Config) -> Segmenter:
    with torch.device("meta"):
        return build_segmenter(config, load_weights=False)


def _frozen(config: Config, dtype: torch.dtype) -> Segmenter:
    segmenter = _on_meta(config).to(dtype)
    freeze(segmenter, config["trainer"]["freeze"])
    return segmenter


def _bytes(tensors: list[Tensor]) -> int:
    return sum(int(tensor.nbytes) for tensor in tensors)


def _stored(precision: str) -> torch.dtype:
    """The type of weights: mixed precision keeps them in float32."""
    return _computed(precision) if precision.endswith("-true") else torch.float32


def _computed(precision: str) -> torch.dtype:
    """The type of most activations."""
    kinds = {"64": torch.float64, "32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
    return kinds[precision.partition("-")[0]]
