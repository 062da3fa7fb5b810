"""What ranks say to each other: objects, over gloo and the CPU, whatever their devices.

With one rank nothing here needs a process group.
"""

from typing import Any

import torch
from torch import distributed


def gather(value: Any) -> list[Any] | None:
    """Every rank's object, in the order of ranks, on rank 0; None on the others."""
    if not _grouped():
        return [value]
    values = [None] * distributed.get_world_size() if distributed.get_rank() == 0 else None
    distributed.gather_object(value, values)
    return values


def broadcast(value: Any) -> Any:
    """Rank 0's object; what the others give is left aside."""
    if not _grouped():
        return value
    values = [value if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(values)
    return values[0]


def barrier() -> None:
    """Wait until all ranks are here."""
    if _grouped():
        distributed.all_reduce(torch.zeros(1))


def _grouped() -> bool:
    return distributed.is_available() and distributed.is_initialized()
