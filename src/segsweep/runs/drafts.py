"""Drafts: files and folders that a process was writing into a run when it was killed."""

import time
from collections.abc import Iterator
from pathlib import Path

from segsweep.files import remove
from segsweep.runs.lease import TIMEOUT

HOLDERS = (
    "checkpoints/*.tmp", "checkpoints/*.link", "tests/.*", "predictions/.*", "submissions/.*"
)  # fmt: skip
"""Those that the run's holder alone writes. Tests and predictions being written have a leading dot."""
PATTERNS = (*HOLDERS, "*.tmp", "*/.*", ".lease.json.*")


def drafts(run: Path) -> Iterator[Path]:
    """Everything in a run's folder that looks like a draft; a process may be writing it now."""
    yield from {path for pattern in PATTERNS for path in run.glob(pattern)}


def sweep_up(run: Path) -> None:
    """Remove drafts, as the run's holder; not those that a planning process may be writing beside it."""
    for pattern in HOLDERS:
        for path in run.glob(pattern):
            remove(path, ignore_errors=True)
    for path in run.glob("*.tmp"):
        if is_stale(path):
            remove(path, ignore_errors=True)


def is_stale(path: Path) -> bool:
    """Whether nobody has touched it for so long that nobody is writing it."""
    try:
        return time.time() - path.stat().st_mtime > TIMEOUT
    except OSError:
        return False  # gone meanwhile
