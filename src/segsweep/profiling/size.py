"""The size of a network: parameters, multiply-accumulates and bytes of activations.

All are counted on torch's meta device: exact, equal on every machine, and without allocating or computing
anything. Bytes of activations are those of torch's storages in a forward pass; what a device adds, such as
convolution workspaces and rounding by the allocator, is not included.
"""

from collections.abc import Sequence
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from segsweep.builders import build_segmenter
from segsweep.config.schema import RunConfig
from segsweep.networks import Segmenter

AUXILIARY = "auxiliary"  # the submodule with what is used in training only


def on_meta(config: RunConfig, dtype: torch.dtype = torch.float32) -> Segmenter:
    """Return the network of a configuration on the meta device."""
    with torch.device("meta"):
        return build_segmenter(config, load_weights=False).to(dtype)


def parameters(segmenter: Segmenter) -> dict[str, int]:
    """Return the number of trained parameters of encoder, head and auxiliary, without overlap.

    What is in neither an `encoder` nor the auxiliary branches, which inference does not use, is the head: a
    whole network may have nothing else. A parameter that several modules share is counted once.
    """
    parts = {"encoder": 0, "head": 0, AUXILIARY: 0}
    for name, parameter in segmenter.named_parameters():
        modules = name.split(".")
        part = "encoder" if modules[0] == "encoder" else "head"
        parts[AUXILIARY if AUXILIARY in modules else part] += parameter.numel()
    return parts


def macs(segmenter: nn.Module, size: Sequence[int]) -> float:
    """Return the multiply-accumulates of inference on one image of `size` (height, width).

    torch counts convolutions, matrix products and attention, padding included, but not BatchNorm, activations
    and upsampling. It counts two operations per MAC, the papers' "FLOPs (G)" one. The network must be on the
    meta device.
    """
    image = torch.empty(1, 3, *size, device="meta")
    segmenter.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        segmenter(image)
    return float(counter.get_total_flops() / 2)


class LiveStorages(TorchDispatchMode):
    """Tracks the bytes of all storages that operators create until they are released.

    Views of what was there before do not count. `peak` is the largest sum of live bytes after any operator.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and record the storages that it created."""
        given = {_key(value) for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)}
        result = function(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, Tensor) and _key(value) not in given | self.known:
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
    """Return a key that all views of a living storage share."""
    return int(tensor.untyped_storage()._cdata)


def peak_activations(segmenter: Segmenter, image: Tensor) -> int:
    """Return the peak bytes of activations, logits included, in inference on `image` [B, 3, H, W]."""
    segmenter.eval()
    live = LiveStorages()
    with torch.no_grad(), live:
        segmenter(image)
    return live.peak


def saved_for_backward(segmenter: Segmenter, image: Tensor) -> int:
    """Return the bytes that autograd keeps after a training forward pass of `image` [B, 3, H, W].

    Auxiliary heads are included, weights, buffers and the loss are not. Each storage counts once.
    """
    segmenter.train()
    weights = {_key(tensor) for tensor in (*segmenter.parameters(), *segmenter.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no key is reused

    def keep(tensor: Tensor) -> None:
        kept[_key(tensor)] = tensor.untyped_storage()

    def unpack(_: Any) -> Tensor:
        raise AssertionError("there is no backward pass here")

    with saved_tensors_hooks(keep, unpack):
        segmenter.forward_train(image)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
