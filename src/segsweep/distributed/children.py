"""Ranks that rank 0 starts on its own machine, as torchrun would start them."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from segsweep import failures
from segsweep.distributed.ranks import Ranks
from segsweep.processes import end_with_parent

PARENT = "SEGSWEEP_PARENT"
"""The variable in which a rank finds the id of the rank 0 that started it."""
GRACE = 15.0
"""Seconds that a rank has to notice by itself that another one failed; NCCL may never notice."""


def stay_with_parent() -> None:
    """End when rank 0 does and leave the keyboard to it, if this is a rank that was started here."""
    if (parent := os.environ.pop(PARENT, None)) is not None:
        end_with_parent(signal.SIGKILL, int(parent))
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Children:
    """Processes by rank; there are none if something else started the ranks."""

    def __init__(self) -> None:
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, world: int, command: Sequence[str], logs: Path) -> None:
        """Start ranks 1, 2 …; the environment says where rank 0 is."""
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, torch.get_num_threads() // world))
        for rank in range(1, world):
            own = Ranks(rank, world, rank, world).variables()
            own |= {PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(torch.get_num_threads())}
            with rank_log(logs, rank).open("ab") as output:
                self.processes[rank] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **own}
                )

    def failed(self) -> list[failures.RankFailedError]:
        """Return what is known of ranks that ended with an error, whether they said why or not."""
        found = []
        for rank, process in self.processes.items():
            status = process.poll() or 0
            if status < 0:
                how = f"killed by {signal.Signals(-status).name}"
                found.append(failures.RankFailedError(rank, failures.KILLED, how))
            elif status:
                how = f"ended with exit status {status}"
                found.append(failures.RankFailedError(rank, failures.UNKNOWN, how))
        return found

    def wait_for(self, rank: int, seconds: float) -> None:
        """Wait until a rank that failed has written its log to the end."""
        if rank in self.processes:
            with suppress(subprocess.TimeoutExpired):
                self.processes[rank].wait(timeout=seconds)

    def kill(self) -> None:
        """Kill all of them at once."""
        for process in self.processes.values():
            process.kill()

    def end(self) -> None:
        """Wait for their end, which is near; kill those that take too long."""
        for process in self.processes.values():
            try:
                process.wait(timeout=GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def rank_log(folder: Path, rank: int) -> Path:
    """Return the path of the log of a rank that was started here."""
    return folder / f"log_rank{rank}.txt"
