"""Run segsweep as a user does: a real process in a folder of its own."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.server import Server

# A run of seconds: a small encoder on a few generated images.
TINY = (
    "backbone=mobilenetv3_small", "head=aspp", "head.rates=[1,2]", "head.width=8", "size=48", "batch_size=4",
    "dataset.train_images=24", "dataset.val_images=2", "dataset.test_images=3",
    "trainer.max_steps=4", "trainer.accelerator=cpu", "trainer.log_every=1",
)  # fmt: skip


def command(*arguments: str) -> list[str]:
    """The command line of a segsweep process under this Python."""
    return [sys.executable, "-m", "segsweep", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, with one thread so that equal runs have equal bits."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **changes}


def segsweep(*arguments: str, cwd: Path, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and check its exit status.

    It is a fork of a process that has made segsweep's imports (server.py), so that changes to what Python and
    torch read as they start only reach its own processes.
    """
    result = server().run(command(*arguments), cwd, environment(**env), timeout=300)
    assert result.returncode == status, f"{arguments}\n{result.stdout}\n{result.stderr}"
    return result


@cache
def server() -> Server:
    """The server of this test process."""
    return Server(environment())


def table(*arguments: str, cwd: Path) -> list[dict[str, Any]]:
    """What a command prints with format=json: nothing else may stand on stdout."""
    return list(json.loads(segsweep(*arguments, "format=json", cwd=cwd).stdout))
