"""Memory of activations: what a network keeps beside its weights, in inference and for training.

Both figures follow torch's own storages through a forward pass on the meta device: they are exact to the
byte, equal on every machine, and need none of the memory they speak of. What a device adds of its own, as
workspaces of convolutions and rounding by the allocator, is not in them.
"""

from collections.abc import Iterable
from typing import Any
from weakref import finalize

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from segsweep.networks import Segmenter


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

    with saved_tensors_hooks(keep, _never_asked):
        segmenter.forward_train(image)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)


def _never_asked(_: Any) -> Tensor:
    raise AssertionError("there is no backward pass here")
