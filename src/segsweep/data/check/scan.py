"""Opening all files in a pool of processes."""

from collections.abc import Callable, Sequence
from functools import partial

import cv2

from segsweep.data.check.files import Finding, Pair, View, examine
from segsweep.data.pool import perform

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
    starts = range(0, len(pairs), CHUNK)
    tasks = [partial(_examine_all, start, pairs[start : start + CHUNK], view) for start in starts]
    found: dict[int, Finding] = {}
    for start, findings in perform(tasks, min(workers, len(tasks))):
        found.update(enumerate(findings, start))
        on_progress(len(found), len(pairs))
    return [found[index] for index in range(len(pairs))]


def _examine_all(start: int, pairs: Sequence[Pair], view: View) -> tuple[int, list[Finding]]:
    """The findings of pairs next to one another, with the place of the first."""
    # OpenCV's own threads would compete with the other processes for the same cores.
    cv2.setNumThreads(0)
    return start, [examine(pair, view) for pair in pairs]
