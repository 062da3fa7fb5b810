"""Many small tasks in a few processes, none of which outlives the one that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from errno import ENOSPC
from typing import TypeVar

from segsweep.errors import UserError

Result = TypeVar("Result")
SHARED = "shared memory (/dev/shm)"
MORE_ROOM = "give it more (docker run --shm-size=8g) or {}=0"


def perform(tasks: Sequence[Callable[[], Result]], workers: int) -> Iterator[Result]:
    """Do all tasks in `workers` processes, or in this one where there are none; results as they come.

    The first error of a task is raised, and tasks that have not begun are dropped.

    Raises:
        UserError: a process was killed.
    """
    if not workers:
        for task in tasks:
            yield task()
        return
    with processes(workers) as pool:
        futures: list[Future[Result]] = [pool.submit(task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, most often for want of memory: give fewer "
                "workers (workers=…), then the same command again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def processes(workers: int) -> ProcessPoolExecutor:
    """A pool of worker processes.

    Raises UserError where shared memory has no room for its queues.
    """
    # Not forked: threads of this process (torch's, a progress bar's) would leave locks held in the copies.
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker)
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        raise UserError(
            f"{SHARED} has no room for worker processes; {MORE_ROOM.format('workers')}"
        ) from error


def start_worker() -> None:
    """Leave interrupts to the parent, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
