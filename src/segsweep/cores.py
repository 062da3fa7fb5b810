"""The cores that this process may use, and how its computing threads get along with other processes'."""

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables by which a user says how many threads compute."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says how OpenMP's threads wait for one another."""
GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> int:
    """Return how many cores this process may keep busy, at least 1.

    These are the cores that it may run on (its affinity), or what its control groups grant it in whole cores
    if that is less: containers, systemd and Slurm limit processes by either.

    Args:
        groups: Where the control groups are mounted.
        own: The kernel's list of the groups that this process is in.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([there, *(int(cores) for cores in _quotas(groups, own))]))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Yield the quota, in cores, of each group that this process is in, and of the groups above it."""
    listed = own.read_text().splitlines() if own.exists() else []
    for _, controllers, path in (line.split(":", 2) for line in listed):
        if not controllers or "cpu" in controllers.split(","):  # version 2 names none
            root = groups / "cpu" if controllers else groups
            place = root / path.lstrip("/")
            # A container may have its own group mounted as the root, and see here the host's name for it.
            for group in (place, *(above for above in place.parents if above.is_relative_to(root))):
                yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    """Yield the quota that a group has itself, as version 2 or version 1 of control groups writes it."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        if (group / names[0]).is_file():
            quota, period = " ".join((group / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep while they wait, unless the environment says otherwise.

    They spin by default: each keeps a core busy that another process's threads could compute on, so two runs
    side by side hold each other up. OpenMP reads this once, as torch is loaded.
    """
    if not any(name in environment for name in WAITING):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
