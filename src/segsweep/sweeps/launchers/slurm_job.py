"""What a job of a sweep does on the cluster: execute its runs, and be requeued when Slurm wants the node.

Slurm tells a job of its end by the signal that submitit asked for (USR2: the time limit, or preemption), or
by SIGTERM (preemption on clusters that send no other, and scancel). The run's process gets it too and saves
at the end of its step; only when that process has ended may the job be requeued, as Slurm then takes the
node away. What is done already is not done again, so a requeued job goes on where it stood.
"""

import os
import signal
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from segsweep.processes import STOP_SIGNALS, listening
from segsweep.sweeps.worker import Attempt, Order, perform


@dataclass
class SlurmJob:
    """The callable that submitit pickles: one process a job, which starts the runs' processes."""

    order: Order

    def __call__(self) -> None:
        """Execute the order, or as much of it as the node is ours for.

        Raises:
            SystemExit: the runs were not finished, for a reason that the job's output tells.
        """
        with _PassedOn() as signals:
            reason = perform(self.order, signals.watch)
        if reason is None:
            return
        again = _signal_to_requeue()
        if again in signals.received or (signals.received and _is_preempted()):
            signal.raise_signal(again)  # submitit's handler, in charge again: requeues the job and exits
        raise SystemExit(f"segsweep: {reason}")

    def checkpoint(self) -> Any:
        """What submitit has the requeued job do: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _PassedOn(AbstractContextManager["_PassedOn"]):
    """Hands the signals that this process gets to the run's process, and to nobody else."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.attempt: Attempt | None = None

    def __enter__(self) -> "_PassedOn":
        self._listening = listening(self._handle, STOP_SIGNALS)
        self._listening.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.__exit__(None, None, None)

    def watch(self, attempt: Attempt) -> None:
        """A run's process was started; a signal that came between two processes is for this one."""
        self.attempt = attempt
        if self.received:
            attempt.ask(self.received[0])

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)
        if self.attempt is not None:
            self.attempt.ask(signum)


def _signal_to_requeue() -> signal.Signals:
    from submitit import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]


def _is_preempted() -> bool:
    """Whether Slurm's SIGTERM means preemption, not scancel: no job that ends by itself then is requeued."""
    ask = ["scontrol", "show", "job", os.environ["SLURM_JOB_ID"]]
    shown = subprocess.run(ask, capture_output=True, text=True).stdout.split()
    times = [field for field in shown if field.startswith("PreemptTime=")]
    return "JobState=RUNNING" in shown and times not in ([], ["PreemptTime=None"])
