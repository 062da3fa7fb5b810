"""A sweep's job on the cluster: execute runs, and requeue the job when Slurm wants the node.

Slurm announces a job's end by the signal that submitit asked for (USR2: the time limit, or preemption), or by
SIGTERM (preemption on clusters that send no other, and scancel). The signal is passed on to the run's
process, which saves at the end of its step. The job may be requeued only when that process has ended, as
Slurm then takes the node away. Complete runs are skipped, so a requeued job resumes where it was.
"""

import os
import signal
import subprocess
from dataclasses import dataclass
from types import FrameType
from typing import Any

from segsweep.processes import STOP_SIGNALS, Listening
from segsweep.sweeps.worker import Attempt, Order, perform


@dataclass
class SlurmJob:
    """The callable that submitit pickles; each job has one such process, which starts the runs' processes."""

    order: Order

    def __call__(self) -> None:
        """Execute the order, or as much of it as Slurm allows.

        Raises:
            SystemExit: the runs were not finished; the job's output has the reason.
        """
        signals = _PassedOn()
        with Listening(signals.handle, STOP_SIGNALS):
            reason = perform(self.order, signals.watch)
        if reason is None:
            return
        from submitit import JobEnvironment

        again = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
        if again in signals.received or (signals.received and _is_preempted()):
            signal.raise_signal(again)  # submitit's handler, restored by now, requeues the job and exits
        raise SystemExit(f"segsweep: {reason}")

    def checkpoint(self) -> Any:
        """Return what submitit lets the requeued job do: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _PassedOn:
    """Passes the signals that this process receives on to the run's process."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.attempt: Attempt | None = None

    def watch(self, attempt: Attempt) -> None:
        """Follow a new process of a run; a signal that came between two processes is passed on to it."""
        self.attempt = attempt
        if self.received:
            attempt.ask(self.received[0])

    def handle(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)
        if self.attempt is not None:
            self.attempt.ask(signum)


def _is_preempted() -> bool:
    """Return whether Slurm's SIGTERM means preemption, not scancel, after which a job is not requeued."""
    ask = ["scontrol", "show", "job", os.environ["SLURM_JOB_ID"]]
    shown = subprocess.run(ask, capture_output=True, text=True).stdout.split()
    times = [field for field in shown if field.startswith("PreemptTime=")]
    return "JobState=RUNNING" in shown and times not in ([], ["PreemptTime=None"])
