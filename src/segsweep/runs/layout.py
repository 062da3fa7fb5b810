"""Names of the files of a run folder, and the drafts that killed processes leave in it.

See folder.py for what each file holds.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from segsweep.files import remove
from segsweep.runs.lease import TIMEOUT

CONFIG, PLAN, STATUS, ENVIRONMENT = "config.yaml", "plan.json", "status.json", "environment.json"
LEASE, SLURM_JOB, LOG = "lease.json", "job.json", "log.txt"
STEPS, VALIDATION = "metrics.csv", "validation.csv"
CHECKPOINTS, LAST, PREVIOUS, BEST, SUMS = (
    "checkpoints", "last.ckpt", "previous.ckpt", "best.ckpt", "SHA256SUMS"
)  # fmt: skip
TESTS, METRICS, PROTOCOL, CONFUSION, COUNTS, ASKED = (
    "tests", "metrics.json", "protocol.json", "confusion.csv", "counts.npz", "asked.json"
)  # fmt: skip
PREDICTIONS, SUBMISSIONS, PICTURES = "predictions", "submissions", "pictures"
REPLACED, REPRODUCED, SWEEPS = "replaced", "reproduced", "sweeps"
"""Beside the run folders: runs that force=true trained again, runs of `segsweep reproduce`, and the journals
of sweeps."""

OF_HOLDER = (
    f"{CHECKPOINTS}/*.tmp", f"{CHECKPOINTS}/*.link", f"{TESTS}/.*", f"{PREDICTIONS}/.*", f"{SUBMISSIONS}/.*"
)  # fmt: skip
"""Drafts that only the run's holder writes. Tests and predictions being written have a leading dot."""
DRAFTS = (*OF_HOLDER, "*.tmp", "*/.*", f".{LEASE}.*")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run: its plan is written last."""
    return (folder / PLAN).is_file()


def drafts(run: Path) -> Iterator[Path]:
    """Yield everything in a run's folder that looks like a draft, even if a process is writing it now."""
    yield from {path for pattern in DRAFTS for path in run.glob(pattern)}


def remove_drafts(run: Path) -> None:
    """Remove drafts, as the run's holder, except those that a planning process may be writing now."""
    for pattern in OF_HOLDER:
        for path in run.glob(pattern):
            remove(path, ignore_errors=True)
    for path in run.glob("*.tmp"):
        if is_stale(path):
            remove(path, ignore_errors=True)


def is_stale(path: Path) -> bool:
    """Whether a path has been untouched for so long that no process can be writing it."""
    try:
        return time.time() - path.stat().st_mtime > TIMEOUT
    except OSError:
        return False  # gone meanwhile
