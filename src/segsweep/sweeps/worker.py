"""The work order for one worker process, and its execution: run folders in turn, each in a fresh process.

An order consists of plain values, so that any launcher can pass it to another process or machine. However a
run's process ends, status.json records it: if the process was killed, its status is written here.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from segsweep import failures
from segsweep.config.schema import RunConfig
from segsweep.failures import Failure
from segsweep.planning.plan import Member
from segsweep.processes import ASKING, signal_name
from segsweep.runs.contents import RecordedFailure, State, Status
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.forks import Starter
from segsweep.sweeps.jobs import Job
from segsweep.sweeps.outcome import refusal

ATTACHED = "--attached="
"""Option of a run's process, with its launcher's id: it ends with the launcher, and waits for no held run."""
HELD = os.EX_TEMPFAIL
"""Exit status of an attached process whose run another process holds."""
LOGGED = "--logged"
"""Option of a run's process whose output goes to the run's log."""
FAILURE = "--failure="
"""Option with the file to which the process writes its failure (`failures.failure_in`)."""
ASKED = "--asked="
"""Option if the run is done: the configuration to test it under, as JSON."""
TRACEBACK = 1
"""Python's exit status after an error, whose traceback is printed after the status was written."""
POLL = 1.0


@dataclass(frozen=True)
class Order:
    """Run folders to execute one after the other; the first that fails ends the order."""

    folders: tuple[str, ...]
    configs: tuple[str, ...] = ()
    """The configuration asked of each run, see `asked_of`."""
    peers: tuple[str, ...] = ()
    """Runs to compare the first one's parent with, if poor members are left out."""
    train: bool = True
    retries: int = 0
    prefix: tuple[str, ...] = ()
    """The start of a run's command line, such as srun for several ranks."""
    allowed: tuple[str, ...] = ()
    """Classes that the user's command names for these runs."""

    @classmethod
    def of(cls, job: Job, train: bool) -> "Order":
        """Return the order for a job's process."""
        return cls(
            tuple(str(member.folder.path.absolute()) for member in job.runs),
            tuple(asked_of(member) for member in job.runs),
            tuple(str(member.folder.path.absolute()) for member in job.peers),
            train,
            job.runs[-1].config.retries,
            allowed=tuple(sorted({name for member in job.runs for name in member.folder.allowed})),
        )

    def plain(self) -> dict[str, Any]:
        """Return the fields with lists in place of tuples."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def asked_of(member: Member) -> str:
    """Return the configuration asked of a run that is done, as JSON; empty if config.yaml has it."""
    done = member.folder.status().state is State.DONE
    return json.dumps(member.config.content, ensure_ascii=False) if done else ""


class Attempt:
    """A run folder being executed in a process of its own, whose output goes to the run's log."""

    def __init__(
        self,
        folder: RunFolder,
        train: bool,
        prefix: Sequence[str] = (),
        config: str = "",
        starter: Starter | None = None,
        **environment: str,
    ) -> None:
        self.folder, self.config = folder, config  # for the configuration see `asked_of`
        self.asked = False  # to stop
        self._oom_kills, self._told = oom_kills(), folder.status().updated
        self.failure_file = folder.path / f"failure.{os.getpid()}.tmp"
        self.failure_file.unlink(missing_ok=True)
        # A process that srun starts is attached to srun.
        attached = [] if prefix else [f"{ATTACHED}{os.getpid()}"]
        command = [*prefix, *folder.command(), LOGGED, f"{FAILURE}{self.failure_file}", *attached]
        command += ([] if train else ["--no-train"]) + ([f"{ASKED}{config}"] if config else [])
        with folder.log.open("a") as output:
            self.process = (starter or Starter()).start(command, output, {**os.environ, **environment})

    def ask(self, signum: int) -> None:
        """Ask the process to stop at the end of its step."""
        self.asked = True
        self.process.send_signal(signum)

    def kill(self) -> None:
        """Kill the process and all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def ended(self) -> str | None:
        """Record how the process ended; return why the run is not finished, or None if it is."""
        self.kill()  # its loader processes and ranks may have survived it
        told = Failure.read(self.failure_file)
        self.failure_file.unlink(missing_ok=True)
        returncode, status = self.process.returncode, self.folder.status()
        if _is_complete(self.folder, self.config):
            return None  # however the process ended afterwards
        silent = status.failure is None or status.updated == self._told
        # If another process holds the run by now, that process writes its status.
        if (silent or returncode < 0) and self.folder.holder() is None:
            self._record(returncode, status, told)
        elif returncode == TRACEBACK and status.failure:
            log = failures.log_tail(self.folder.log)
            self.folder.update_status(failure=status.failure.changed(log=tuple(log)))
        return str(self.folder.status().error or _how(returncode))

    def _record(self, returncode: int, status: Status, told: Failure | None) -> None:
        """Record in status.json how a process ended that could not do so itself."""
        if returncode > 128:  # how srun, shells and segsweep report a signal
            returncode = 128 - returncode
        kind, error = failures.UNKNOWN, _how(returncode)
        if returncode == -signal.SIGKILL:
            kind = failures.OUT_OF_MEMORY if oom_kills() > self._oom_kills else failures.KILLED
            error += " for want of memory" if kind == failures.OUT_OF_MEMORY else ""
        if -returncode in ASKING or (self.asked and returncode < 0):
            kind = failures.PREEMPTED
        state = State.FAILED if returncode >= 0 else State.INTERRUPTED
        if status.state is State.DONE:
            state = State.DONE
        if told is not None and returncode >= 0:
            kind, error = told.kind, told.error
        log = tuple(failures.log_tail(self.folder.log))
        self.folder.update_status(state=state, error=error, failure=RecordedFailure(kind=kind, log=log))


def perform(order: Order, watch: Callable[[Attempt], None] = lambda _: None) -> str | None:
    """Execute an order, waiting for runs that other processes hold; return why it is not finished, or None.

    `watch` is called with each process as it starts: a caller that receives signals must pass them on to it.
    """
    peers = [RunFolder(Path(path)) for path in order.peers]
    for path, config in zip_longest(order.folders, order.configs, fillvalue=""):
        folder = RunFolder(Path(path), order.allowed)
        refused = refusal(folder, peers)
        reason = refused[1] if refused else _finish(folder, order, config, watch)
        if reason is not None:
            return reason
    return None


def may_pass(folder: RunFolder) -> bool:
    """Return whether the fault that ended a run may be gone at the next attempt."""
    return folder.status().failure_class in failures.PASSING


def _is_complete(folder: RunFolder, config: str) -> bool:
    return folder.is_complete(RunConfig.of(json.loads(config)) if config else folder.config())


def _finish(folder: RunFolder, order: Order, config: str, watch: Callable[[Attempt], None]) -> str | None:
    tries = 0
    while not _is_complete(folder, config):
        if folder.holder() is not None:
            time.sleep(POLL)
            continue
        attempt = Attempt(folder, order.train, order.prefix, config)
        watch(attempt)
        returncode = attempt.process.wait()
        if returncode == HELD:
            continue
        reason = attempt.ended()
        tries += 1
        if reason is not None and (tries > order.retries or not may_pass(folder)):
            return reason
    return None


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"killed by {signal_name(-returncode)}"
    if returncode - 128 in ASKING:
        return f"stopped by {signal_name(returncode - 128)}"
    return f"exit status {returncode} before its end"


def oom_kills() -> int:
    """Return the number of processes that the kernel killed for lack of memory since the machine started."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
