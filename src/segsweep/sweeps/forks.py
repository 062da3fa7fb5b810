"""Start the processes of runs: fresh ones, or forks of a process that has made their imports.

The imports of a run take seconds. A fork server makes them once for a sweep and forks for each run. Such a
run differs from one in a fresh process in nothing else: environment, output, signals and exit status are its
own, and what it changes in its memory no other process sees. The server only imports: OpenMP's threads and
CUDA, which do not survive a fork, begin with the first computation, in the fork.
"""

import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import IO, Any, Protocol

from segsweep.imports import import_lightly
from segsweep.processes import PYTHON, adopt_orphans

LONGEST = 1 << 20
"""Bytes of a request: a command and its environment."""


class Process(Protocol):
    """What launchers use of `subprocess.Popen`."""

    pid: int

    @property
    def returncode(self) -> int | Any:
        """The exit status, or minus the signal that ended it, once `poll` or `wait` has seen its end."""

    def poll(self) -> int | None:
        """Return the exit status if the process has ended, else None."""

    def wait(self) -> int:
        """Wait for the end and return the exit status."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""


class Starter(AbstractContextManager["Starter"]):
    """Starts each run in a fresh process."""

    def start(self, command: Sequence[str], output: IO[str], environment: Mapping[str, str]) -> Process:
        """Start a command that writes to `output`.

        It gets a process group of its own: Ctrl-C in the terminal reaches the launcher, which asks runs to
        stop.
        """
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )

    def __exit__(self, *_: object) -> None:
        """Nothing is to be closed."""


class ForkServer(Starter):
    """Starts each run as a fork, or in a fresh process if the server has died; only Linux can."""

    connection: socket.socket | None = None

    def start(self, command: Sequence[str], output: IO[str], environment: Mapping[str, str]) -> Process:
        """Start a command as the other starter does; the first call waits until the imports are made.

        The threads of OpenMP are those that the environment of the first call says.
        """
        if self.connection is None:
            self._begin(environment)
            assert self.connection is not None
        with suppress(OSError):
            request = json.dumps([list(command), dict(environment)]).encode()
            socket.send_fds(self.connection, [request], [output.fileno()])
            if pid := self.connection.recv(LONGEST):
                return _Forked(int(pid))
        return super().start(command, output, environment)

    def _begin(self, environment: Mapping[str, str]) -> None:
        adopt_orphans()
        self.connection, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self.server = subprocess.Popen(
                [*PYTHON, "-m", __name__, str(its.fileno())],
                env=environment,
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # if it cannot import, the fresh process says so in its run's log
                start_new_session=True,
            )

    def __exit__(self, *_: object) -> None:
        """End the server; its forks do not depend on it."""
        if self.connection is not None:
            self.connection.close()
            self.server.wait()


class _Forked:
    """A fork, which is a child of this process since the one in between has exited."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        returncode = self._reap(0)
        assert returncode is not None
        return returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def serve(connection: socket.socket) -> None:
    """Fork for each request, until the launcher has closed the connection; a fork becomes the command."""
    import_lightly()
    import segsweep.execution.execute  # noqa: F401

    gc.freeze()  # a collection in a fork would copy the pages that forks share
    while True:
        request, files, _, _ = socket.recv_fds(connection, LONGEST, 1)
        if not request:
            return
        if _is_fork():
            command, environment = json.loads(request)
            os.setsid()
            connection.send(str(os.getpid()).encode())
            connection.close()
            _become(command, environment, files[0])
            return
        os.close(files[0])


def _is_fork() -> bool:
    """Fork this process; return True in the fork, once the launcher has adopted it, else False."""
    if child := os.fork():
        os.waitpid(child, 0)
        return False
    between = os.getpid()
    if os.fork():
        os._exit(0)  # so the fork is the launcher's child: each of the two learns of the other one's end
    while os.getppid() == between:
        time.sleep(0.001)
    return True


def _become(command: Sequence[str], environment: Mapping[str, str], output: int) -> None:
    """Be the process of a command, `python … -m segsweep …`."""
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    sys.orig_argv = list(command)
    sys.argv = ["segsweep", *command[command.index("segsweep") + 1 :]]
    runpy.run_module("segsweep", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
