"""An error on one rank is an error of all: each ends with the one line that says what was wrong.

A rank that raised while others wait for it in an exchange would leave them to "connection closed by peer",
or to a hang. Within `shared_fate` each rank does its part to the end or to its error, and only then do they
tell each other; so nothing within may itself be an exchange between ranks.

Nothing here knows what the work is. A rank that is killed cannot tell, and one that is asked to end must not
wait: the ranks' watch over each other is for these (together.py).
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from segsweep.distributed.collectives import broadcast, gather
from segsweep.distributed.ranks import Ranks
from segsweep.errors import PreemptedError, causes
from segsweep.failures import one_line


@contextmanager
def shared_fate(ranks: Ranks) -> Iterator[None]:
    """Leave the block when all ranks have done theirs; alone, there is nobody to wait for.

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
    told = gather(None if own is None else _chain(own))
    failed = broadcast(next(((rank, chain) for rank, chain in enumerate(told or ()) if chain), None))
    if failed is None:
        return
    rank, chain = failed
    # The rank's own has the traceback, which does not travel.
    raise own if own is not None and rank == ranks.rank else _linked(chain)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and its causes, each by itself: pickle leaves causes out, and they tell of a full disk."""
    return [_portable(one) for one in causes(error)]


def _linked(chain: list[BaseException]) -> BaseException:
    for error, cause in pairwise(chain):
        error.__cause__ = cause
    return chain[0]


def _portable(error: BaseException) -> BaseException:
    """The error, or its line where it cannot be made anew from what pickle keeps of it."""
    try:
        pickle.loads(pickle.dumps(error))
    # Anything: that is up to the error's own class.
    except Exception:
        return RuntimeError(one_line(error))
    return error
