"""Opening all files in a pool of processes."""

from collections.abc import Callable, Sequence
from functools import partial

import cv2

from segsweep.data.check.files import Finding, Pair, View, examine
from segsweep.data.pool import spread

CHUNK = 8
"""Samples handed to a process at once."""
Progress = Callable[[int, int], None]
"""(samples done, samples in all)."""


def scan(pairs: Sequence[Pair], view: View, workers: int, on_progress: Progress) -> list[Finding]:
    """What each pair of files shows, in their order; opened in this process where `workers` is 0.

    Raises:
        UserError: a process was killed.
    """
    on_progress(0, len(pairs))
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    found: list[Finding] = []
    for findings in spread(partial(_examine_all, view), chunks, min(workers, len(chunks))):
        found += findings
        on_progress(len(found), len(pairs))
    return found


def _examine_all(view: View, pairs: Sequence[Pair]) -> list[Finding]:
    # OpenCV's own threads would compete with the other processes for the same cores.
    cv2.setNumThreads(0)
    return [examine(pair, view) for pair in pairs]
