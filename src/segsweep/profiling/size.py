"""How large a network is: parameters, multiply-accumulates and bytes of activations.

All of it is counted on torch's meta device: exact, equal on every machine, and without the memory or the time
that it tells of. Bytes of activations follow torch's own storages through a forward pass; what a device adds,
as workspaces of convolutions and rounding by the allocator, is not in them.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from segsweep.build import build_segmenter
from segsweep.config.schema import RunConfig
from segsweep.networks import Segmenter

AUXILIARY = "auxiliary"
"""The submodule in which a head keeps what it needs in training only."""


def on_meta(config: RunConfig, dtype: torch.dtype = torch.float32) -> Segmenter:
    """The network of a configuration on the meta device."""
    with torch.device("meta"):
        return build_segmenter(config, load_weights=False).to(dtype)


def parameters(segmenter: Segmenter) -> dict[str, int]:
    """Trained parameters by part: encoder, head and auxiliary, which leave none out and count none twice.

    Auxiliary branches are found by name, as a submodule `auxiliary` anywhere in the head; inference does
    without them. A parameter that several modules share is counted once.
    """
    parts = {"encoder": 0, "head": 0, AUXILIARY: 0}
    for name, parameter in segmenter.named_parameters():
        part, *modules = name.split(".")
        parts[AUXILIARY if AUXILIARY in modules else part] += parameter.numel()
    return parts


def macs(segmenter: nn.Module, size: Sequence[int]) -> float:
    """Multiply-accumulates of an inference of one image of `size` (height, width).

    Counted by torch from convolutions, matrix products and attention, padding included; BatchNorm,
    activations and upsampling are not counted. Torch counts two operations a MAC, the papers' "FLOPs (G)"
    one. The network must be on the meta device, where nothing is computed.
    """
    image = torch.empty(1, 3, *size, device="meta")
    segmenter.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        segmenter(image)
    return float(counter.get_total_flops() / 2)


class LiveStorages(TorchDispatchMode):
    """Follows the bytes of all storages that operators make, from their making to their release.

    Storages that exist before, named as `outside`, and views of them count nothing. `peak` is the largest
    sum of bytes alive at once, seen after each operator.
    """

    def __init__(self, outside: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self.known = {_key(tensor) for tensor in outside}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and note what it made."""
        result = function(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, Tensor) and _key(value) not in self.known:
                self._add(value)
        self.peak = max(self.peak, self.live)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self.known.add(_key(tensor))
        self.live += storage.nbytes()
        finalize(storage, self._release, _key(tensor), storage.nbytes())

    def _release(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def _key(tensor: Tensor) -> int:
    """The same for all views of a storage, as long as it lives."""
    return int(tensor.untyped_storage()._cdata)


def peak_activations(segmenter: Segmenter, image: Tensor) -> int:
    """Most bytes of activations alive at once in an inference of `image` [B, 3, H, W], logits included.

    Weights, buffers and the image itself are not among them.
    """
    segmenter.eval()
    live = LiveStorages([*segmenter.parameters(), *segmenter.buffers(), image])
    with torch.no_grad(), live:
        segmenter(image)
    return live.peak


def saved_for_backward(segmenter: Segmenter, image: Tensor) -> int:
    """Bytes that autograd keeps after a training forward of `image` [B, 3, H, W], auxiliary heads included.

    Each storage counts once, however many operators keep it; weights and buffers do not count, nor what
    the loss adds.
    """
    segmenter.train()
    weights = {_key(tensor) for tensor in (*segmenter.parameters(), *segmenter.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no key comes twice

    def keep(tensor: Tensor) -> None:
        kept[_key(tensor)] = tensor.untyped_storage()

    def unpack(_: Any) -> Tensor:
        raise AssertionError("there is no backward pass here")

    with saved_tensors_hooks(keep, unpack):
        segmenter.forward_train(image)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
