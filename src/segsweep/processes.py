"""Processes: how one is asked to end, by whom it lets itself be asked, and how one is told from others."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""By which Slurm, cloud machines, closed terminals and people ask a process to end."""
KEYBOARD = signal.SIGINT
ASKING = (KEYBOARD, *STOP_SIGNALS)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PYTHON = (sys.executable, "-P")
"""Python without the working folder first among its modules, where a user's random.py would be taken for
Python's own; the user's own parts are found there last (build.py)."""


def signal_name(number: int) -> str:
    """The name of a signal as its sender knows it."""
    return "Ctrl-C" if number == KEYBOARD else signal.Signals(number).name


@contextmanager
def listening(
    handler: Callable[[int, FrameType | None], Any], numbers: Iterable[signal.Signals] = ASKING
) -> Iterator[None]:
    """Have signals handled by `handler`, but leave those that this process was started to ignore.

    So a run under nohup survives its terminal, and a rank leaves the keyboard to the one that started it.
    """
    taken = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def heed_parent_alone() -> None:
    """In a process that works for its parent: end by SIGTERM from the parent, and by no other signal.

    A terminal's Ctrl-C, systemd, scancel and timeout signal all processes of a group, and a loader's worker
    that ends before its parent has finished the step takes that step with it. A worker whose parent is gone
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
    """Have the kernel send this process a signal when its parent dies; Linux alone can.

    `parent` is the process that is expected to be the parent still: where it died before it was asked for,
    the signal comes at once.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


@cache
def place_of(pid: int) -> str:
    """Where process ids mean what they mean to this process."""
    try:
        if Path("/proc/self").readlink().name != str(pid):  # /proc is that of another namespace
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """When a process of this place started; empty where there is none, None where that is not to be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None if exists(pid) else ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # one that is dead and not yet reaped counts as gone


def exists(pid: int) -> bool:
    """Whether there is such a process: /proc may be mounted so that it hides those of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
