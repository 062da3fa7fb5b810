"""How a long test tells how far it is, where nobody sees a bar."""

import logging
from itertools import count

from segsweep.execution import progress as testing_progress
from segsweep.runs.contents import EvaluationProgress
from segsweep.runs.folder import RunFolder


def test_a_line_a_minute_and_a_status_that_sweeps_read(tmp_path, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("segsweep"), "info", lines.append)
    seconds = count()
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    run = RunFolder(tmp_path)
    run.update_status(state="done", step=4, testing={"done": 1, "images": 2, "seconds_left": 1.0})
    with testing_progress.shown(run, leads=True) as progress:
        assert run.status().testing is None, "a killed process's"
        for done in range(1, 101):
            progress(done, 100)
        assert run.status().testing == EvaluationProgress(done=100, images=100, seconds_left=0.0)
    assert run.status().testing is None
    assert lines == ["tested 60/100 images  0:00:40 left"], "a second an image"


def test_of_several_ranks_one_tells(tmp_path):
    with testing_progress.shown(RunFolder(tmp_path), leads=False) as progress:
        progress(1, 1)
    assert not list(tmp_path.iterdir())
