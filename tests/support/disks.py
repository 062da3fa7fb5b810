"""Small disks, for tests that fill one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[bool]:
    """Mount a disk of a size like "40m" at a new folder; False without the right to."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = not os.geteuid() and not subprocess.run(mount, capture_output=True).returncode
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk at a new folder, or skip the test."""
    with mounted(folder, size) as done:
        if not done:
            pytest.skip("mounting a small disk takes root, and a machine that lets root do it")
        yield folder
