"""The ranks of a run: started where nothing else did, joined into a group, watched, ended with one cause.

Rank 0 is the process that was asked to execute the run. Under torchrun and srun the others are there; else
it starts them on this machine as torchrun would: each executes the same run folder, and learns nothing from
the command line that this process came from. A rank that fails says why in a store that all can read, so
that the error told is the first one, and not "connection closed by peer" of those that it left behind.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # of C++

from segsweep.errors import STOP_SIGNALS, PreemptedError, UserError
from segsweep.runs import failures
from segsweep.runs.parent_death import end_with_parent
from segsweep.runs.ranks import Ranks, barrier

GRACE = 15.0
"""Seconds that a rank has to notice by itself that another failed: NCCL may never do."""
PARENT = "SEGSWEEP_PARENT"
"""The variable in which a rank finds the id of the rank 0 that started it."""
READY, FAILED = "segsweep/ready", "segsweep/failed"
CONNECT = timedelta(minutes=5)
WAIT = timedelta(days=1)
"""One rank may pack an archive while the others wait; a rank that is gone is noticed otherwise."""
POLL = 0.2

OnDeath = Callable[[failures.RankFailedError], None]


class Together:
    """This process among the ranks of a run."""

    def __init__(self) -> None:
        """Take the place that the environment gives, and connect where something else started the ranks.

        Raises:
            UserError: rank 0 cannot be reached.
        """
        self.ranks = Ranks.of_environment()
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.over = threading.Event()
        if (parent := os.environ.pop(PARENT, None)) is not None:
            end_with_parent(signal.SIGKILL, int(parent))
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard's goes to all; rank 0 ends the others
        if self.ranks.world > 1:
            for name, value in self.ranks.variables().items():
                os.environ.setdefault(name, value)  # srun has names of its own
            _name_address()
            self._open(int(os.environ["MASTER_PORT"]))

    def _open(self, port: int) -> None:
        """Serve the store, where that falls to this rank, and connect to it."""
        host, serves = os.environ["MASTER_ADDR"], self.ranks.rank == 0
        if serves and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
            self.server = TCPStore(host, port, is_master=True, wait_for_workers=False)
            port = self.server.port
            os.environ["MASTER_PORT"] = str(port)
        try:
            # One for this module alone: a store lets a call wait for those of other threads.
            self.wire, self.store = (
                TCPStore(host, port, is_master=False, timeout=CONNECT, wait_for_workers=False)
                for _ in range(2)
            )
        except RuntimeError as error:
            raise UserError(f"rank {self.ranks.rank}: rank 0 at {host}:{port} does not answer") from error

    @contextmanager
    def lead(
        self, devices: int, gpu: bool, command: list[str], logs: Path, on_death: OnDeath
    ) -> Iterator[None]:
        """Rank 0's part: alone, or first of `devices` ranks, of which the others are started with `command`.

        `on_death` is called where this process has to end from within, as a call of its waits for ever.

        Raises:
            RankFailedError: another rank failed first.
        """
        before = dict(os.environ)
        try:
            if self.ranks.world == 1 and devices > 1:
                self._start(devices, command, logs)
            if self.ranks.world == 1:
                yield
                return
            self.wire.set(READY, "cpu:gloo,cuda:nccl" if gpu else "gloo")
            with self._member(on_death):
                yield
        finally:
            if self.children:
                self._end_children()
                os.environ.clear()
                os.environ.update(before)

    @contextmanager
    def follow(self) -> Iterator[None]:
        """The part of the others: wait until rank 0 has the run."""
        while not self.wire.check([READY]):
            if failure := self._failure():
                raise failure
            time.sleep(POLL)
        with self._member(lambda failure: print(f"segsweep: {failure}", file=sys.stderr, flush=True)):
            yield

    def _start(self, devices: int, command: list[str], logs: Path) -> None:
        """Start ranks 1 … on this machine."""
        self.ranks = Ranks(0, devices, 0, devices)
        os.environ.update(self.ranks.variables() | {"MASTER_ADDR": "127.0.0.1"})
        self._open(port=0)
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, torch.get_num_threads() // devices))
        for rank in range(1, devices):
            own = Ranks(rank, devices, rank, devices).variables()
            own |= {PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(torch.get_num_threads())}
            with rank_log(logs, rank).open("ab") as output:
                self.children[rank] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **own}
                )

    @contextmanager
    def _member(self, on_death: OnDeath) -> Iterator[None]:
        """Be in the group; a failure is told to the others, and theirs told here in place of what it causes.

        Raises:
            RankFailedError: another rank failed first.
        """
        watch = threading.Thread(target=self._watch, args=(on_death,), daemon=True)
        watch.start()
        try:
            with self._signals():
                _join(self.ranks, self.store, self.wire.get(READY).decode())
                yield
                barrier()
            self.over.set()
            watch.join()
            distributed.destroy_process_group()
        except BaseException as error:
            cause = self._first_cause(error)
            self._tell(failures.of_rank(self.ranks.rank, cause))
            self.over.set()
            watch.join()
            if distributed.is_initialized() and distributed.get_backend() == "gloo":
                distributed.destroy_process_group()  # NCCL's might wait for the rank that is gone
            if cause is not error:
                raise cause from error
            raise

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Have signals end this rank so that the others hear of it; training has a way of its own."""

        def end(signum: int, frame: FrameType | None) -> None:
            # torchrun sends one because of a failure that is known: that is what is to be told.
            if self._failure() is None:
                raise PreemptedError(signum, "outside of training")

        before = {number: signal.signal(number, end) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _first_cause(self, error: BaseException) -> BaseException:
        """The failure of the rank that failed first, where this rank's error may be but its consequence."""
        own = isinstance(error, UserError) or not isinstance(error, Exception)
        if own or failures.is_out_of_memory(error):
            return error
        deadline = time.monotonic() + 3
        while (failure := self._failure()) is None and time.monotonic() < deadline:
            time.sleep(POLL)
        if failure is None or failure.rank == self.ranks.rank:
            return error
        if (child := self.children.get(failure.rank)) is not None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5)  # it writes its log to the end
        return failure.cause()

    def _watch(self, on_death: OnDeath) -> None:
        """End this process where another rank failed and this one waits for it, as NCCL may for ever."""
        while not self.over.wait(POLL):
            if (failure := self._failure()) is not None and failure.rank != self.ranks.rank:
                if not self.over.wait(GRACE):
                    on_death(failure)
                    for child in self.children.values():
                        child.kill()
                    os._exit(1)
                return

    def _failure(self) -> "failures.RankFailedError | None":
        """What is known of the first rank that failed."""
        for rank, child in self.children.items():
            if child.poll():
                self._tell(_ended(rank, child.returncode))
        try:
            told = self.wire.get(FAILED) if self.wire.check([FAILED]) else None
        except RuntimeError:
            return failures.RankFailedError(0, failures.KILLED, "has ended")
        return None if told is None else failures.RankFailedError(**json.loads(told))

    def _tell(self, failure: "failures.RankFailedError") -> None:
        """Say that a rank failed; the first that is said stays."""
        with suppress(RuntimeError):
            self.wire.compare_set(FAILED, "", json.dumps(failure.fields()))

    def _end_children(self) -> None:
        for child in self.children.values():
            if self._failure() is not None:
                child.kill()
            try:
                child.wait(timeout=GRACE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def rank_log(folder: Path, rank: int) -> Path:
    """What a rank that was started here said."""
    return folder / f"log_rank{rank}.txt"


def _name_address() -> None:
    """Under srun, which names none: a step's first machine, and a port that follows from job and step."""
    if "MASTER_ADDR" not in os.environ:
        nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
        os.environ["MASTER_ADDR"] = SLURMEnvironment.resolve_root_node_address(nodes)
    if "MASTER_PORT" not in os.environ:
        job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
        os.environ["MASTER_PORT"] = str(15000 + (job + 101 * step) % 10000)


def _join(ranks: Ranks, store: Any, backend: str) -> None:
    if "nccl" in backend:
        if torch.cuda.device_count() < ranks.local_world:
            raise UserError(
                f"rank {ranks.rank} of {ranks.local_world} on its machine sees {torch.cuda.device_count()} "
                "GPUs: give each rank all of them (srun: --gpu-bind=none), one a rank is taken"
            )
        torch.cuda.set_device(ranks.local_rank)
    distributed.init_process_group(
        backend,
        store=PrefixStore("group", store),
        rank=ranks.rank,
        world_size=ranks.world,
        timeout=WAIT,
    )


def _ended(rank: int, status: int) -> failures.RankFailedError:
    """What is known of a rank that said nothing."""
    if status < 0:
        how = f"killed by {signal.Signals(-status).name}"
        return failures.RankFailedError(rank, failures.KILLED, how)
    return failures.RankFailedError(rank, failures.UNKNOWN, f"ended with exit status {status}")
