"""Execute runs on this machine, as many at a time as its devices allow, or one by one.

Each run is a process of its own. A run that another process holds waits until it is free, without a device.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType

from segsweep.errors import PreemptedError
from segsweep.processes import KEYBOARD, Listening
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import BEGAN, DONE, Fate
from segsweep.sweeps.devices import Devices
from segsweep.sweeps.display import Display
from segsweep.sweeps.forks import Starter
from segsweep.sweeps.jobs import Job
from segsweep.sweeps.outcome import ending, refusal
from segsweep.sweeps.sweep import Sweep
from segsweep.sweeps.worker import HELD, Attempt, asked_of, may_pass

POLL = 0.1
"""Seconds between two polls of the running processes."""
LOOK = 1.0
"""Seconds between two polls of the waiting jobs if none has ended: other processes may release them."""


@dataclass
class Running:
    """A running process of a run, and its devices."""

    job: Job
    attempt: Attempt
    devices: list[str]


@dataclass
class LocalWork:
    """The execution of a sweep's jobs, each a single run, on this machine."""

    sweep: Sweep
    jobs: Sequence[Job]
    devices: Devices
    display: Display
    train: bool
    starter: Starter = field(default_factory=Starter)
    on_failure: str = "continue"
    retries: int = 0
    waiting: list[Job] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    unfinished: set[Job] = field(default_factory=set)
    """Jobs that wait, that run, and that will not be started."""
    tries: Counter[str] = field(default_factory=Counter)
    signals: list[int] = field(default_factory=list)
    heeded: int = 0
    """How many of the signals have been passed on to the runs."""
    looked: float = 0.0

    def do(self) -> None:
        """Execute all jobs, or until a signal asks this process to end; runs then save at their step's end.

        Raises:
            PreemptedError: a signal came; all runs have ended.
            KeyboardInterrupt: the same, for Ctrl-C.
        """
        self.waiting, self.unfinished = list(self.jobs), set(self.jobs)
        with Listening(self._note):
            try:
                with self.display, self.starter:
                    while self.waiting or self.running:
                        self._step()
                        time.sleep(POLL)
            finally:
                for running in self.running:  # even after an error, no run's process outlives this one
                    running.attempt.kill()
        if self.signals:
            keyboard = self.signals[0] == KEYBOARD
            raise KeyboardInterrupt if keyboard else PreemptedError(self.signals[0], "in a sweep")

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signals.append(signum)  # passed on between steps, as a process may just be starting

    def _step(self) -> None:
        if self.heeded < len(self.signals):
            self._heed(self.signals[self.heeded])
        ended = [running for running in self.running if running.attempt.process.poll() is not None]
        for running in ended:
            self.running.remove(running)
            self.devices.give_back(running.devices)
            self._end(running)
        if ended or time.monotonic() - self.looked > LOOK:
            self.looked = time.monotonic()
            self._begin_some()
        self.display.tick(
            [(one.attempt.folder, one.devices) for one in self.running],
            [job.runs[0].folder for job in self.waiting],
        )

    def _heed(self, signum: int) -> None:
        """Ask the runs to stop at the end of their step; kill them at the second Ctrl-C."""
        self.heeded += 1
        self.waiting.clear()
        if signum == KEYBOARD and self.heeded == 1 and self.running:
            self.display.remark("stopping at the end of the running steps; Ctrl-C again kills them")
        for running in self.running:
            if self.signals[: self.heeded].count(KEYBOARD) > 1:
                running.attempt.kill()
            else:
                running.attempt.ask(signum)

    def _begin_some(self) -> None:
        """Start jobs in order; all wait behind one whose devices are not free."""
        for job in list(self.waiting):
            if self.signals or not self.waiting or not self._begin(job):
                return

    def _begin(self, job: Job) -> bool:
        """Start a job unless something prevents it; return False if it waits for devices."""
        folder = job.runs[0].folder
        if not self.unfinished.isdisjoint(job.after):
            return True
        if folder.is_complete(job.runs[0].config):
            self.waiting.remove(job)
            self.unfinished.remove(job)
            self.sweep.end(folder, DONE, None)  # executed by another process, perhaps since this sweep began
            self.display.found_done(folder)
        elif refused := refusal(folder, [peer.folder for peer in job.peers], self.sweep.left_out):
            self.waiting.remove(job)
            self._close(job, *refused)
        elif folder.holder() is not None:
            self.display.held(folder)
        else:
            return self._start(job, folder)
        return True

    def _start(self, job: Job, folder: RunFolder) -> bool:
        devices = self.devices.take(self.devices.wanted_by(job.runs[0].config))
        if devices is None:
            return False
        self.waiting.remove(job)
        config = asked_of(job.runs[0])
        # After a failure nothing is to be left of what the process had in common with others.
        starter = Starter() if self.tries[folder.id] else self.starter
        environment = self.devices.environment(devices)
        attempt = Attempt(folder, self.train, config=config, starter=starter, **environment)
        self.running.append(Running(job, attempt, devices))
        self.sweep.journal.note(folder.id, BEGAN, devices=devices)
        self.display.began(folder)
        return True

    def _end(self, running: Running) -> None:
        """Record how a run's process ended, or try again if that may help."""
        folder = running.attempt.folder
        if running.attempt.process.returncode == HELD:
            self._again(running.job)
            return
        reason = running.attempt.ended()
        self.tries[folder.id] += 1
        may_again = self.tries[folder.id] <= self.retries and may_pass(folder) and not self.signals
        if reason is None or not may_again:
            self._close(running.job, *ending(folder, reason))
        else:
            self.display.ended(folder, reason)
            self.display.say(folder, f"trying again, {self.tries[folder.id]} of {self.retries} times")
            self._again(running.job)

    def _again(self, job: Job) -> None:
        if not self.signals:
            self.waiting.insert(0, job)

    def _close(self, job: Job, state: Fate, reason: str | None) -> None:
        self.unfinished.remove(job)
        folder = job.runs[0].folder
        self.sweep.end(folder, state, reason)
        self.display.ended(folder, reason)
        if folder.id in self.sweep.reasons and self.on_failure == "stop" and self.waiting:
            self.display.remark(f"on_failure=stop: {len(self.waiting)} runs are not started")
            self.waiting.clear()
