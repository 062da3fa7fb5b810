"""Cores by affinity and by control groups, written as the kernel writes them; how threads wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segsweep.cores import usable_cores, wait_passively


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.fixture
def write(tmp_path):
    """Write files of control groups, and the list of a process's groups; return where they are."""

    def write(listed: str, **files: str) -> tuple[Path, Path]:
        for name, text in files.items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        (tmp_path / "own").write_text(listed)
        return tmp_path / "cgroup", tmp_path / "own"

    return write


def test_without_control_groups_the_affinity_counts(tmp_path):
    assert usable_cores(tmp_path / "none", tmp_path / "no list") == 8


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [
        ("max 100000", "max 100000", 8),
        ("300000 100000", "max 100000", 3),
        ("max 100000", "200000 100000", 2),
        ("600000 100000", "200000 50000", 4),
        ("250000 100000", "max 100000", 2),
        ("50000 100000", "max 100000", 1),
        ("6400000 100000", "max 100000", 8),
    ],
)
def test_version_2_grants_the_least_of_a_group_and_those_above(write, own, above, cores):
    files = {"job.slice/cpu.max": above, "job.slice/run.scope/cpu.max": own}
    assert usable_cores(*write("0::/job.slice/run.scope\n", **files)) == cores


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3)])
def test_version_1_has_a_quota_and_a_period(write, controllers, quota, cores):
    files = {"cpu/box/cpu.cfs_quota_us": quota, "cpu/box/cpu.cfs_period_us": "100000"}
    assert usable_cores(*write(f"5:cpuset:/other\n4:{controllers}:/box\n0::/\n", **files)) == cores


def test_a_container_sees_its_own_group_as_the_root(write):
    assert usable_cores(*write("0::/docker/0a1b\n", **{"cpu.max": "200000 100000"})) == 2


@pytest.mark.parametrize("said", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_how_threads_wait_is_the_users_to_say(said):
    environment = {said: "7"}
    wait_passively(environment)
    assert environment == {said: "7"}


def test_a_command_says_how_threads_wait_before_torch_is_loaded():
    code = (
        "import atexit, os, sys; from segsweep.cli import main; atexit.register(lambda: print(*{})); main()"
    )
    asked = "(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code.format(asked), "--version"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "PASSIVE False"
