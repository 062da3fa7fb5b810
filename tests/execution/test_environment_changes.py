"""Other code or packages between interruption and resume: noticed and said, not refused."""

import json
import signal

import pytest

from segsweep.errors import PreemptedError
from segsweep.execution import environment
from segsweep.runs.contents import Environment
from segsweep.runs.folder import RunFolder
from tests.support.inside import checkpoint, faulty, planned, run

PICTURE = 2
"""Seen in step 4 of 6."""


@pytest.fixture
def interrupted(tmp_path) -> RunFolder:
    """A run that was asked to end in its fourth step."""
    (tmp_path / "now").touch()
    folder = planned(
        *faulty(tmp_path, (PICTURE, int(signal.SIGTERM), "now")), f"runs_dir={tmp_path / 'runs'}"
    )
    with pytest.raises(PreemptedError):
        run(folder)
    assert (folder.status().state, checkpoint(folder)["global_step"]) == ("interrupted", 4)
    return folder


def edit(folder: RunFolder, change) -> None:
    path = folder.path / "environment.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def said(folder: RunFolder) -> list[str]:
    return [line for line in folder.log.read_text().splitlines() if "another environment" in line]


def test_other_code_and_another_version_are_said(interrupted):
    edit(interrupted, lambda content: content.update(git_commit="0123456789ab"))
    edit(interrupted, lambda content: content["packages"].update(torch="1.0.0"))
    run(interrupted)
    assert interrupted.status().state == "done"
    now = environment.describe()
    expected = [
        f"git_commit 0123456789ab → {now.git_commit}", f"torch 1.0.0 → {now.packages['torch']}"
    ]  # fmt: skip
    assert interrupted.status().environment_changes == tuple(expected)
    (line,) = said(interrupted)
    assert all(change in line for change in expected)
    assert json.loads((interrupted.path / "environment.json").read_text()) == now.plain()


def test_every_change_is_kept(interrupted):
    """Two interruptions: the second run goes on under what the first noted."""
    edit(interrupted, lambda content: content.update(python="3.1"))
    interrupted.update_status(environment_changes=["torch 0.9 → 1.0.0"])
    run(interrupted)
    first, second = interrupted.status().environment_changes
    assert first == "torch 0.9 → 1.0.0"
    assert second.startswith("python 3.1 → ")


def test_nothing_is_said_where_nothing_changed(interrupted):
    edit(interrupted, lambda content: content.update(host="elsewhere", cpus=1000))
    run(interrupted)
    assert said(interrupted) == []
    assert interrupted.status().environment_changes == ()


def test_a_run_that_an_older_version_averaged_by_micro_batches_goes_on_with_a_note():
    """Its loss was another one until then; with one micro-batch a step it was the same."""
    now = environment.describe()
    older = Environment.of({k: v for k, v in now.plain().items() if k != "loss averaged over"})
    assert environment.changes(older, now, micro_batches=2) == ["loss averaged over micro-batch → step"]
    assert environment.changes(older, now, micro_batches=1) == []
    assert environment.changes(now, now, micro_batches=2) == []


def test_a_fresh_start_has_nothing_to_compare(interrupted):
    """What stands there is of an attempt that left no checkpoint: no bit of it is in the run."""
    edit(interrupted, lambda content: content.update(git_commit="0123456789ab"))
    for path in interrupted.checkpoints.iterdir():
        path.unlink()
    run(interrupted)
    assert said(interrupted) == []
