"""What ranks tell each other: objects, sums of figures, rank 0's buffers, and the error that ends them all.

Objects travel over gloo and the CPU, whatever the devices; tensors stay on their device. With one rank, which
may have no process group, everything is what it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, distributed, nn

from segsweep.distributed.ranks import Ranks
from segsweep.errors import PreemptedError, causes, portable


def world() -> int:
    """Return the number of ranks."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gather(value: Any) -> list[Any] | None:
    """Return every rank's object, in the order of ranks, on rank 0; None on the others."""
    if world() == 1:
        return [value]
    values = [None] * world() if distributed.get_rank() == 0 else None
    distributed.gather_object(value, values)
    return values


def broadcast(value: Any) -> Any:
    """Return rank 0's object; what the other ranks pass is ignored."""
    if world() == 1:
        return value
    values = [value if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(values)
    return values[0]


def barrier() -> None:
    """Wait until all ranks are here."""
    if world() > 1:
        distributed.all_reduce(torch.zeros(1))


def mean_over_ranks(figure: Tensor) -> Tensor:
    """Return the mean of a scalar over all ranks, without gradients; NaN if it is NaN on one of them."""
    if world() == 1:
        return figure.detach()
    total = figure.detach().clone()
    distributed.all_reduce(total)
    return total / world()


def any_of_ranks(decision: bool) -> bool:
    """Return whether at least one rank says yes."""
    return bool(largest_of_ranks(int(decision)))


def largest_of_ranks(number: int) -> int:
    """Return the largest of all ranks' numbers; between processes alone, as it is asked in each step."""
    if world() == 1:
        return number
    largest = torch.tensor(float(number))
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return int(largest)


def names_over_ranks(names: list[str]) -> list[str]:
    """Return the names of all ranks, on each of them."""
    if world() == 1:
        return names
    gathered: list[list[str]] = [[] for _ in range(world())]
    distributed.all_gather_object(gathered, names)
    return [name for own in gathered for name in own]


def share_buffers(module: nn.Module) -> None:
    """Give all ranks the buffers of rank 0: each rank has gathered statistics from its own images."""
    for buffer in module.buffers() if world() > 1 else ():
        distributed.broadcast(buffer, src=0)


@contextmanager
def shared_fate(ranks: Ranks) -> Iterator[None]:
    """Make an error on one rank an error of all: each ends with the one line that says what was wrong.

    A rank that raised while others wait for it in an exchange would leave them to "connection closed by
    peer", or to a hang. Within this block each rank does its part to the end or to its error, and only then
    do they tell each other; so the block must not contain an exchange between ranks. A rank that is killed
    cannot tell, and one that is asked to end must not wait: the ranks' watch over each other (group.py)
    handles these.

    Raises:
        Exception: what one rank's block raised (the first rank's, if several did), with its causes.
    """
    if ranks.world == 1:
        yield
        return
    own: Exception | None = None
    try:
        yield
    except PreemptedError:
        raise
    except Exception as error:
        own = error
    # Causes one by one: pickle drops them, and they tell of a full disk.
    told = gather(None if own is None else [portable(one) for one in causes(own)])
    failed = broadcast(next(((rank, chain) for rank, chain in enumerate(told or ()) if chain), None))
    if failed is None:
        return
    rank, chain = failed
    if own is not None and rank == ranks.rank:
        raise own  # with its traceback, which does not travel
    for effect, cause in pairwise(chain):
        effect.__cause__ = cause
    raise chain[0]
