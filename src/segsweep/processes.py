"""How a process is asked to end, and by whom it lets itself be asked."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""By which Slurm, cloud machines, closed terminals and people ask a process to end."""
KEYBOARD = signal.SIGINT
ASKING = (KEYBOARD, *STOP_SIGNALS)


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
