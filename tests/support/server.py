"""A process that has made segsweep's imports and forks one process for each command that it is sent.

What a fork shares with the others is these imports, which take five seconds of a processor each time, and the
seed of Python's hashes. All else is a new process's own: arguments, folder, environment, output, exit status.
"""

import atexit
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from segsweep.imports import import_lightly

ROOT = Path(__file__).parents[2]
IMPORTS = ("segsweep.execution.execute", "segsweep.planning.dry_build", "segsweep.commands.train")
LONGEST = 1 << 20  # bytes of a request: arguments and environment


class Server:
    """The server's process, seen from the tests."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.connection, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.server", str(its.fileno())],
                cwd=ROOT, env=environment, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.close)

    def close(self) -> None:
        """End it."""
        self.connection.close()
        self.process.wait()

    def run(
        self, command: Sequence[str], cwd: Path, env: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Like `subprocess.run` of `python -m segsweep …`, its output as text."""
        request = json.dumps({"command": list(command), "cwd": str(cwd), "env": env}).encode()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            socket.send_fds(self.connection, [request], [out.fileno(), err.fileno()])
            self.connection.settimeout(timeout)
            status = int(self.connection.recv(LONGEST))
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(command, status, out.read(), err.read())


def main(connection: socket.socket) -> None:
    """Fork for each request until the tests have ended; a fork becomes the command."""
    import_lightly()
    for module in IMPORTS:
        import_module(module)
    while request := socket.recv_fds(connection, LONGEST, 2):
        if not request[0]:
            return
        if (child := os.fork()) == 0:
            connection.close()
            become(json.loads(request[0]), request[1])
            return
        for file in request[1]:
            os.close(file)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.send(str(status).encode())


def become(request: dict, files: list[int]) -> None:
    """Be the process of a command."""
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.orig_argv = request["command"]
    sys.path[0] = request["cwd"]
    sys.argv = ["segsweep", *request["command"][3:]]
    runpy.run_module("segsweep", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
