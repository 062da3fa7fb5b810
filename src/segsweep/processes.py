"""Processes: the signals that end them, who may send these, and how processes are identified."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""Signals by which Slurm, cloud machines, closed terminals and people ask a process to end."""
KEYBOARD = signal.SIGINT
ASKING = (KEYBOARD, *STOP_SIGNALS)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
PYTHON = (sys.executable, "-P")
"""Python without the working folder on its path, where a user's random.py would hide Python's own module.
The user's own parts are found there all the same: build.py appends the folder."""


def signal_name(number: int) -> str:
    """Return the name of a signal as its sender knows it."""
    return "Ctrl-C" if number == KEYBOARD else signal.Signals(number).name


class Listening(AbstractContextManager[None]):
    """Handle signals by `handler`, except those that this process was started to ignore.

    So a run under nohup survives its terminal, and a rank leaves Ctrl-C to the process that started it. This
    is no generator: one abandoned by an exception would restore older handlers whenever it is collected.
    """

    def __init__(
        self, handler: Callable[[int, FrameType | None], Any], numbers: Iterable[signal.Signals] = ASKING
    ) -> None:
        self.handler, self.numbers = handler, numbers

    def __enter__(self) -> None:
        """Install the handler."""
        taken = [number for number in self.numbers if signal.getsignal(number) != signal.SIG_IGN]
        self.before = {number: signal.signal(number, self.handler) for number in taken}

    def __exit__(self, *_: object) -> None:
        """Restore the handlers from before."""
        for number, former in self.before.items():
            signal.signal(number, former)


def heed_parent_alone() -> None:
    """Let only SIGTERM from its parent end this process; ignore all other requests to end.

    A terminal's Ctrl-C, systemd, scancel and timeout signal all processes of a group, but a loader process
    that ends before its parent has finished the step breaks that step. A loader process whose parent is gone
    notices by itself.
    """
    if not hasattr(signal, "sigwaitinfo"):  # macOS cannot tell who sent a signal
        signal.signal(KEYBOARD, signal.SIG_IGN)
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while True:
        sent = signal.sigwaitinfo(ASKING)
        if sent.si_signo == signal.SIGTERM and sent.si_pid == os.getppid():
            os._exit(0)


def end_with_parent(signum: int = signal.SIGTERM, parent: int | None = None) -> None:
    """Have the kernel send this process a signal when its parent dies; only Linux can.

    `parent` is the expected parent: if it died before this call, the signal comes at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


def adopt_orphans() -> None:
    """Have the kernel make this process the parent of what its children leave behind; only Linux can."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


@cache
def place_of(pid: int) -> str:
    """Identify this boot and process namespace, in which process ids are unique; empty if unknown."""
    try:
        if Path("/proc/self").readlink().name != str(pid):  # /proc is that of another namespace
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """Return a process's start time; empty if there is no such process, None if it cannot be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None if exists(pid) else ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # a dead process that is not yet reaped counts as gone


def exists(pid: int) -> bool:
    """Return whether a process exists, without /proc, which may hide those of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
