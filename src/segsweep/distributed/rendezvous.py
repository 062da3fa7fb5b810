"""The store through which the ranks of a run find each other, and report why one of them failed.

A rank that fails writes why in here before it ends, so that the error reported is the first one, and not the
"connection closed by peer" of the ranks that it left behind.
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
"""One rank may pack an archive while the others wait; a rank that is gone is noticed in another way."""


class Rendezvous:
    """A rank's connection to the others."""

    def __init__(self, ranks: Ranks, port: int) -> None:
        """Serve the store if this is rank 0 and torchrun does not, and connect to it.

        Raises:
            UserError: rank 0 cannot be reached.
        """
        self.ranks, host = ranks, os.environ["MASTER_ADDR"]
        if ranks.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
            self.server = TCPStore(host, port, is_master=True, wait_for_workers=False)
            port = self.server.port
            os.environ["MASTER_PORT"] = str(port)
        try:
            # Messages have a connection of their own, as a call on a store waits for those of other threads.
            self.messages, self.store = (
                TCPStore(host, port, is_master=False, timeout=CONNECT, wait_for_workers=False)
                for _ in range(2)
            )
        except RuntimeError as error:
            raise UserError(f"rank {ranks.rank}: rank 0 at {host}:{port} does not answer") from error

    def call(self, gpu: bool) -> None:
        """Tell the others, as rank 0, that it has the run and that the group may be joined."""
        self.messages.set(READY, "cpu:gloo,cuda:nccl" if gpu else "gloo")

    def called(self) -> bool:
        """Whether rank 0 has the run."""
        return bool(self.messages.check([READY]))

    def join(self) -> None:
        """Join the group of all ranks.

        Raises:
            UserError: this rank has no GPU of its own.
        """
        ranks, backend = self.ranks, self.messages.get(READY).decode()
        if "nccl" in backend:
            if torch.cuda.device_count() < ranks.local_world:
                raise UserError(
                    f"rank {ranks.rank} of {ranks.local_world} on its machine sees "
                    f"{torch.cuda.device_count()} GPUs: give each rank all of them (srun: --gpu-bind=none), "
                    "each takes one"
                )
            torch.cuda.set_device(ranks.local_rank)
        store: Any = PrefixStore("group", self.store)
        distributed.init_process_group(
            backend, store=store, rank=ranks.rank, world_size=ranks.world, timeout=WAIT
        )

    def tell(self, failure: failures.RankFailedError) -> None:
        """Report that a rank failed; the first report stays."""
        with suppress(RuntimeError):
            self.messages.compare_set(FAILED, "", json.dumps(failure.fields()))

    def failure(self) -> failures.RankFailedError | None:
        """Return what was reported of the first rank that failed."""
        try:
            told = self.messages.get(FAILED) if self.messages.check([FAILED]) else None
        except RuntimeError:
            return failures.RankFailedError(0, failures.KILLED, "has ended")
        return None if told is None else failures.RankFailedError(**json.loads(told))
