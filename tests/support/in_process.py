"""`segsweep runs` without a process of its own, where nothing needs one."""

import json
from pathlib import Path
from typing import Any

import pytest

from segsweep.commands import runs as runs_command


def listed(runs: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, Any]]:
    """What `segsweep runs` lists, by id."""
    capsys.readouterr()
    assert runs_command.main([f"runs_dir={runs}", "format=json", *options]) == 0
    return {row["id"]: row for row in json.loads(capsys.readouterr().out)}


def run(*arguments: str) -> int:
    """`segsweep runs` in this process; the exit status."""
    return runs_command.main(arguments)
