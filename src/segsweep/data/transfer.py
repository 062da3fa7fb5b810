"""Moving a batch to the GPU while it still computes the step before."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


class SideStream:
    """Copies on a stream of its own, from pinned memory; the computing stream waits for the copy alone.

    The process issues a step's kernels far faster than the GPU runs them, unless it reads a result: so the
    copy of a step begins while the step before it is computed.
    """

    def __init__(self) -> None:
        self.stream: torch.cuda.Stream | None = None

    def __call__(self, copy: Callable[[], Any], device: torch.device) -> Any:
        """Return the batch that `copy` makes on a device; on others than CUDA just that."""
        if device.type != "cuda":
            return copy()
        self.stream = self.stream or torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self.stream):
            batch = copy()
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(self.stream)
        for tensor in tensors_of(batch):
            tensor.record_stream(computing)  # its memory is not given away before that stream is done with it
        return batch


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of a batch, nested in mappings and lists."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict | list | tuple):
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from tensors_of(part)
