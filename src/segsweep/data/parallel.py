"""Many small tasks in a few processes, which never outlive their parent."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from errno import ENOSPC
from typing import TypeVar

from segsweep.errors import UserError

Part = TypeVar("Part")
Result = TypeVar("Result")
SHARED = "shared memory (/dev/shm)"
MORE_ROOM = "give it more (docker run --shm-size=8g) or {}=0"


def spread(
    function: Callable[[Part], Result],
    parts: Sequence[Part],
    workers: int,
    option: str = "workers",
    worth: float = 0,
) -> Iterator[Result]:
    """Yield `function(part)` of each part, in order, computed by `workers` processes, or here if 0.

    If `worth` is given, the first part is done here, and processes are started only if the others are
    expected to take more seconds than that. After an error, parts that have not begun are dropped. `option`
    names the user's option for the number of workers.

    Raises:
        UserError: a process was killed, or shared memory has no room for the queues.
    """
    start = time.perf_counter()
    here = parts if not workers else parts[: bool(worth)]
    yield from map(function, here)
    left = parts[len(here) :]
    if worth and (time.perf_counter() - start) * len(left) < worth:
        yield from map(function, left)
        return
    if not left:
        return
    # Not forked, because locks held by other threads (torch's, a progress bar's) would never be released.
    context = multiprocessing.get_context("spawn")
    try:
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker)
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        raise UserError(f"{SHARED} has no room for worker processes; {MORE_ROOM.format(option)}") from error
    with pool:
        try:
            with _without_interrupts():  # all workers start here
                results = pool.map(function, left)
            yield from results
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, most often for want of memory: give fewer workers "
                f"({option}=…), then the same command again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block interrupts of this thread and of processes that it starts.

    An interpreter that is interrupted while it starts ends with pages of text. Workers ignore interrupts once
    they can (`start_worker`), this process receives its own after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """Ignore interrupts, and end with the parent, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
