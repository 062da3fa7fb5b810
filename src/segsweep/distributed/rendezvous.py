"""The store through which the ranks of a run find each other, and tell why one of them failed.

A rank that fails says why in here before it ends, so that the error told is the first one, and not the
"connection closed by peer" of those that it left behind.
"""

import json
import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # of C++

from segsweep import failures
from segsweep.distributed.ranks import Ranks
from segsweep.errors import UserError

READY, FAILED = "segsweep/ready", "segsweep/failed"
CONNECT = timedelta(minutes=5)
WAIT = timedelta(days=1)
"""One rank may pack an archive while the others wait; a rank that is gone is noticed otherwise."""


class Wire:
    """A rank's connection to the others."""

    def __init__(self, ranks: Ranks, port: int) -> None:
        """Serve the store, where that falls to this rank, and connect to it.

        Raises:
            UserError: rank 0 cannot be reached.
        """
        self.ranks, host = ranks, os.environ["MASTER_ADDR"]
        if ranks.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
            self.server = TCPStore(host, port, is_master=True, wait_for_workers=False)
            port = self.server.port
            os.environ["MASTER_PORT"] = str(port)
        try:
            # One for words alone: a store lets a call wait for those of other threads.
            self.words, self.store = (
                TCPStore(host, port, is_master=False, timeout=CONNECT, wait_for_workers=False)
                for _ in range(2)
            )
        except RuntimeError as error:
            raise UserError(f"rank {ranks.rank}: rank 0 at {host}:{port} does not answer") from error

    def call(self, gpu: bool) -> None:
        """Rank 0's: say that it has the run, and that the group may be joined."""
        self.words.set(READY, "cpu:gloo,cuda:nccl" if gpu else "gloo")

    def called(self) -> bool:
        """Whether rank 0 has the run."""
        return bool(self.words.check([READY]))

    def join(self) -> None:
        """Join the group of all ranks.

        Raises:
            UserError: this rank has no GPU of its own.
        """
        ranks, backend = self.ranks, self.words.get(READY).decode()
        if "nccl" in backend:
            _take_gpu(ranks)
        store: Any = PrefixStore("group", self.store)
        distributed.init_process_group(
            backend, store=store, rank=ranks.rank, world_size=ranks.world, timeout=WAIT
        )

    def tell(self, failure: failures.RankFailedError) -> None:
        """Say that a rank failed; the first that is said stays."""
        with suppress(RuntimeError):
            self.words.compare_set(FAILED, "", json.dumps(failure.fields()))

    def failure(self) -> failures.RankFailedError | None:
        """What was said of the first rank that failed."""
        try:
            told = self.words.get(FAILED) if self.words.check([FAILED]) else None
        except RuntimeError:
            return failures.RankFailedError(0, failures.KILLED, "has ended")
        return None if told is None else failures.RankFailedError(**json.loads(told))


def _take_gpu(ranks: Ranks) -> None:
    if torch.cuda.device_count() < ranks.local_world:
        raise UserError(
            f"rank {ranks.rank} of {ranks.local_world} on its machine sees {torch.cuda.device_count()} "
            "GPUs: give each rank all of them (srun: --gpu-bind=none), one a rank is taken"
        )
    torch.cuda.set_device(ranks.local_rank)
