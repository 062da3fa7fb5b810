"""A run's own process, which ends when its launcher is asked to end."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any

from segsweep.errors import STOP_SIGNALS, PreemptedError


def run_process(command: Sequence[str], output: IO[str]) -> int:
    """Run a command to its end; its exit status, negative where a signal killed it.

    Raises:
        PreemptedError: this process was asked to end. The command was asked too, and has ended.
    """
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    with process, _passed_on(process) as received:
        returncode = process.wait()
    if received:
        raise PreemptedError(received[0], "in a sweep")
    return returncode


@contextmanager
def _passed_on(process: "subprocess.Popen[Any]") -> Iterator[list[int]]:
    """Send the signals that this process gets to another; the list of those that came."""
    received: list[int] = []

    def handle(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        process.send_signal(signum)

    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
