"""The ranks that rank 0 starts on its own machine, as torchrun would start them."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch

from segsweep import failures
from segsweep.distributed.parent_death import end_with_parent
from segsweep.distributed.ranks import Ranks

PARENT = "SEGSWEEP_PARENT"
"""The variable in which a rank finds the id of the rank 0 that started it."""
GRACE = 15.0
"""Seconds that a rank has to notice by itself that another failed: NCCL may never do."""


def stay_with_parent() -> None:
    """In a rank that was started here: end when rank 0 does, and leave the keyboard to it."""
    if (parent := os.environ.pop(PARENT, None)) is not None:
        end_with_parent(signal.SIGKILL, int(parent))
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Children:
    """Processes by rank; none where something else started the ranks."""

    def __init__(self) -> None:
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, world: int, command: Sequence[str], logs: Path) -> None:
        """Start ranks 1 …; the environment says where rank 0 is."""
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
        """What is known of those that ended with an error, whether they said why or not."""
        return [_ended(rank, one.returncode) for rank, one in self.processes.items() if one.poll()]

    def wait_for(self, rank: int, seconds: float) -> None:
        """Let a rank that failed write its log to the end."""
        if rank in self.processes:
            _wait(self.processes[rank], seconds)

    def kill(self) -> None:
        """End all of them at once."""
        for process in self.processes.values():
            process.kill()

    def end(self) -> None:
        """Wait for their end, which is near, or see to it."""
        for process in self.processes.values():
            if not _wait(process, GRACE):
                process.kill()
                process.wait()


def rank_log(folder: Path, rank: int) -> Path:
    """What a rank that was started here said."""
    return folder / f"log_rank{rank}.txt"


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ended(rank: int, status: int) -> failures.RankFailedError:
    """What is known of a rank that said nothing."""
    if status < 0:
        how = f"killed by {signal.Signals(-status).name}"
        return failures.RankFailedError(rank, failures.KILLED, how)
    return failures.RankFailedError(rank, failures.UNKNOWN, f"ended with exit status {status}")
