"""What training exchanges between ranks, where there are several: sums of figures, rank 0's buffers.

With one rank, which may have no process group, everything is what it is.
"""

import torch
from torch import Tensor, distributed, nn


def world() -> int:
    """The number of ranks."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def mean_over_ranks(figure: Tensor) -> Tensor:
    """The mean over all ranks of a scalar, without gradients; not a number where one is none."""
    if world() == 1:
        return figure.detach()
    total = figure.detach().clone()
    distributed.all_reduce(total)
    return total / world()


def any_of_ranks(decision: bool, device: torch.device) -> bool:
    """Whether one rank at least says yes."""
    return bool(largest_of_ranks(int(decision), device))


def largest_of_ranks(number: int, device: torch.device) -> int:
    """The largest of all ranks' numbers."""
    if world() == 1:
        return number
    largest = torch.tensor(float(number), device=device)
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return int(largest)


def names_over_ranks(names: list[str]) -> list[str]:
    """All ranks' names, on each of them."""
    if world() == 1:
        return names
    gathered: list[list[str]] = [[] for _ in range(world())]
    distributed.all_gather_object(gathered, names)
    return [name for own in gathered for name in own]


def share_buffers(module: nn.Module) -> None:
    """Give all ranks the buffers of rank 0: each has gathered statistics from images of its own."""
    for buffer in module.buffers() if world() > 1 else ():
        distributed.broadcast(buffer, src=0)
