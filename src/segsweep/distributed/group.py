"""One run by one rank or many: joined into a group, watched, ended with one cause.

Rank 0 is the process that was asked to execute the run. Under torchrun and srun the others exist
already; else it starts them on this machine: each executes the same run folder, and knows nothing of the
command line that this process came from.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from torch import distributed

from segsweep import failures
from segsweep.distributed.children import GRACE, Children, stay_with_parent
from segsweep.distributed.collectives import barrier
from segsweep.distributed.ranks import Ranks, name_address
from segsweep.distributed.rendezvous import Rendezvous
from segsweep.errors import PreemptedError, UserError
from segsweep.processes import STOP_SIGNALS, Listening

POLL = 0.2

OnDeath = Callable[[failures.RankFailedError], None]


class Group:
    """This process among the ranks of a run."""

    def __init__(self) -> None:
        """Take the place that the environment gives, and connect if something else started the ranks.

        Raises:
            UserError: rank 0 cannot be reached.
        """
        self.ranks, self.children = Ranks.of_environment(), Children()
        self.over = threading.Event()
        stay_with_parent()
        if self.ranks.world > 1:
            os.environ.update(self.ranks.variables())
            name_address()
            self.rendezvous = Rendezvous(self.ranks, int(os.environ["MASTER_PORT"]))

    @property
    def started_here(self) -> bool:
        """Whether all ranks end with this process, which may start them again."""
        return self.ranks.world == 1 or bool(self.children.processes)

    @contextmanager
    def lead(
        self, devices: int, gpu: bool, command: Sequence[str], logs: Path, on_death: OnDeath
    ) -> Iterator[None]:
        """Play rank 0's part: alone, or first of `devices` ranks, whose others are started with `command`.

        `on_death` is called if this process has to end itself because one of its calls waits forever.

        Raises:
            RankFailedError: another rank failed first.
        """
        before = dict(os.environ)
        try:
            if self.ranks.world == 1 and devices > 1:
                self.ranks = Ranks(0, devices, 0, devices)
                os.environ.update(self.ranks.variables() | {"MASTER_ADDR": "127.0.0.1"})
                self.rendezvous = Rendezvous(self.ranks, port=0)  # any free port
                self.children.start(devices, command, logs)
            if self.ranks.world == 1:
                yield
                return
            self.rendezvous.call(gpu)
            with self._member(on_death):
                yield
        finally:
            if self.children.processes:
                if self._failure() is not None:
                    self.children.kill()
                self.children.end()
                os.environ.clear()
                os.environ.update(before)

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Play the part of the other ranks: wait until rank 0 has the run."""
        while not self.rendezvous.called():
            if failure := self._failure():
                raise failure
            time.sleep(POLL)
        with self._member(lambda failure: print(f"segsweep: {failure}", file=sys.stderr, flush=True)):
            yield

    @contextmanager
    def _member(self, on_death: OnDeath) -> Iterator[None]:
        """Be in the group: tell the others of a failure here, and report theirs instead of what it causes.

        Raises:
            RankFailedError: another rank failed first.
        """
        watch = threading.Thread(target=self._watch, args=(on_death,), daemon=True)
        watch.start()
        try:
            with self._signals():
                self.rendezvous.join()
                yield
                barrier()
            self.over.set()
            watch.join()
            distributed.destroy_process_group()
        except BaseException as error:
            cause = self._first_cause(error)
            self.rendezvous.tell(failures.of_rank(self.ranks.rank, cause))
            self.over.set()
            watch.join()
            if distributed.is_initialized() and distributed.get_backend() == "gloo":
                distributed.destroy_process_group()  # NCCL's might wait for the rank that is gone
            if cause is not error:
                raise cause from error
            raise

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Have signals end this rank so that the others hear of it; training handles signals itself."""

        def end(signum: int, frame: FrameType | None) -> None:
            # torchrun sends a signal after a failure that is known: report that failure, not the signal.
            if self._failure() is None:
                raise PreemptedError(signum, "outside of training")

        with Listening(end, STOP_SIGNALS):
            yield

    def _first_cause(self, error: BaseException) -> BaseException:
        """Return the failure of the rank that failed first, if this rank's error may follow from it."""
        own = isinstance(error, UserError) or not isinstance(error, Exception)
        if own or failures.is_out_of_memory(error):
            return error
        deadline = time.monotonic() + 3
        while (failure := self._failure()) is None and time.monotonic() < deadline:
            time.sleep(POLL)
        if failure is None or failure.rank == self.ranks.rank:
            return error
        self.children.wait_for(failure.rank, seconds=5)
        return failure.cause()

    def _watch(self, on_death: OnDeath) -> None:
        """End this process if another rank failed and this one waits for it, as NCCL may forever."""
        while not self.over.wait(POLL):
            if (failure := self._failure()) is not None and failure.rank != self.ranks.rank:
                if not self.over.wait(GRACE):
                    on_death(failure)
                    self.children.kill()
                    os._exit(1)
                return

    def _failure(self) -> failures.RankFailedError | None:
        """Return what is known of the first rank that failed."""
        for failure in self.children.failed():
            self.rendezvous.tell(failure)
        return self.rendezvous.failure()
