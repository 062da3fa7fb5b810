"""Show a test's progress: a bar on a terminal, else a log line a minute, and status.json for a sweep."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from segsweep.runs.contents import EvaluationProgress
from segsweep.runs.folder import RunFolder
from segsweep.terminal import progress_bar

log = logging.getLogger("segsweep")

WRITE_EVERY, LOG_EVERY = 5.0, 60.0
"""Seconds between two writes of status.json, and between two log lines."""


@contextmanager
def shown(folder: RunFolder, leads: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback for (images done, images in all); of several ranks only the first shows its share."""
    if not leads:
        yield lambda done, total: None
        return
    reporter = _Reporter(folder)
    reporter.clear()  # what a killed process left
    with progress_bar("test") as draw:

        def on_progress(done: int, total: int) -> None:
            draw(done, total)
            reporter.report(done, total)

        yield on_progress
    reporter.clear()


class _Reporter:
    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.started = self.written = self.logged = time.monotonic()

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        left = (now - self.started) / done * (total - done)
        if now - self.written >= WRITE_EVERY:
            self.written = now
            self.folder.update_status(testing=EvaluationProgress(done=done, images=total, seconds_left=left))
        if now - self.logged >= LOG_EVERY and not sys.stderr.isatty():
            self.logged = now
            log.info(f"tested {done}/{total} images  {timedelta(seconds=round(left))} left")

    def clear(self) -> None:
        if self.folder.status().testing:
            self.folder.update_status(testing=None)
