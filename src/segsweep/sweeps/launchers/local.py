"""Runs on this machine, as many at a time as its devices take: one loop for a pool and for one by one.

Each run is a fresh process; the next starts as one ends. A run that another process holds is left until it
is free, and holds no device meanwhile.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from segsweep.errors import PreemptedError
from segsweep.processes import KEYBOARD, listening
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import BEGAN, DONE, Fate
from segsweep.sweeps.devices import Devices
from segsweep.sweeps.display import Display
from segsweep.sweeps.jobs import Job
from segsweep.sweeps.outcome import Ending, ending, refusal
from segsweep.sweeps.sweep import Sweep
from segsweep.sweeps.worker import HELD, Attempt, asked_of, may_pass

POLL = 0.1
"""Seconds between two looks at the running processes."""
LOOK = 1.0
"""Seconds between two looks at those that wait, where none has ended: others may hold them."""


@dataclass
class Running:
    """A run in its process, and the devices that it holds."""

    job: Job
    attempt: Attempt
    devices: list[str]

    @property
    def folder(self) -> RunFolder:
        """The run's."""
        return self.attempt.folder


@dataclass
class LocalWork:
    """The jobs of a sweep, each a single run, being done on this machine."""

    sweep: Sweep
    jobs: Sequence[Job]
    devices: Devices
    display: Display
    train: bool
    on_failure: str = "continue"
    retries: int = 0
    waiting: list[Job] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    unfinished: set[Job] = field(default_factory=set)
    """Those that wait, that run, and that are not going to be started."""
    tries: Counter[str] = field(default_factory=Counter)
    signals: list[int] = field(default_factory=list)
    heeded: int = 0
    """How many of the signals have been passed on."""
    looked: float = 0.0

    def do(self) -> None:
        """Do all of it, or until this process is asked to end: once, and runs are saved at their step's end.

        Raises:
            PreemptedError: a signal asked for the end; all runs have ended.
            KeyboardInterrupt: the keyboard did.
        """
        self.waiting, self.unfinished = list(self.jobs), set(self.jobs)
        with self._listening(), self.display:
            while self.waiting or self.running:
                self._step()
                time.sleep(POLL)
        if self.signals:
            keyboard = self.signals[0] == KEYBOARD
            raise KeyboardInterrupt if keyboard else PreemptedError(self.signals[0], "in a sweep")

    @contextmanager
    def _listening(self) -> Iterator[None]:
        with listening(self._note):
            try:
                yield
            finally:
                for running in self.running:  # whatever happened: no process outlives this one
                    running.attempt.kill()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signals.append(signum)  # passed on between steps: it may have come while a process is started

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
            [(one.folder, one.devices) for one in self.running], [job.runs[0].folder for job in self.waiting]
        )

    def _heed(self, signum: int) -> None:
        """Ask the runs to stop at the end of their step; kill them where the keyboard asks once more."""
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
        """Start what may start, in order: behind one whose devices are not free, all wait."""
        for job in list(self.waiting):
            if self.signals or not self.waiting or not self._begin(job):
                return

    def _begin(self, job: Job) -> bool:
        """Start a job, or see what keeps it from being started; False where that is want of devices."""
        folder = job.runs[0].folder
        if not self.unfinished.isdisjoint(job.after):
            return True
        if folder.is_complete(job.runs[0].config):
            self.waiting.remove(job)
            self._found_done(job)
        elif (refused := self._refusal(job)) is not None:
            self.waiting.remove(job)
            self._close(job, *refused)
        elif folder.holder() is not None:
            self.display.held(folder)
        else:
            return self._start(job, folder)
        return True

    def _found_done(self, job: Job) -> None:
        self.unfinished.remove(job)
        folder = job.runs[0].folder
        self.sweep.end(folder, DONE, None)  # another process did it, perhaps after our beginning
        self.display.found_done(folder)

    def _refusal(self, job: Job) -> Ending | None:
        return refusal(job.runs[0].folder, [peer.folder for peer in job.peers], self.sweep.left_out)

    def _start(self, job: Job, folder: RunFolder) -> bool:
        devices = self.devices.take(self.devices.wanted_by(job.runs[0].config))
        if devices is None:
            return False
        self.waiting.remove(job)
        config = asked_of(job.runs[0])
        attempt = Attempt(folder, self.train, config=config, **self.devices.environment(devices))
        self.running.append(Running(job, attempt, devices))
        self.sweep.journal.note(folder.id, BEGAN, devices=devices)
        self.display.began(folder)
        return True

    def _end(self, running: Running) -> None:
        """Take note of how a run's process ended; have it tried again where that may help."""
        folder = running.folder
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
            self.display.said(folder, f"trying again, {self.tries[folder.id]} of {self.retries} times")
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
