"""The same run started many times at the same instant: one trains it, nothing is done twice."""

import os
import sys
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.runs.folder import RunFolder
from segsweep.training.checkpoint_files import newest
from tests.support.forks import FORKS
from tests.support.inside import checkpoint, faulty, planned, rows


def start(run: str, barrier, folder: Path) -> None:
    """What `segsweep execute RUN` does, with its exit status and what it said kept in files."""
    sys.stderr = (folder / f"{os.getpid()}.said").open("w", buffering=1)
    barrier.wait()
    status = cli.run(["execute", run])
    (folder / f"{os.getpid()}.status").write_text(str(status))


def started(run: RunFolder, folder: Path, count: int, until) -> list[tuple[int, str]]:
    """Exit status and words of each of so many starts; `until` is called once all are under way."""
    folder.mkdir()
    barrier = FORKS.Barrier(count)
    processes = [FORKS.Process(target=start, args=(str(run.path), barrier, folder)) for _ in range(count)]
    for process in processes:
        process.start()
    until(processes)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count
    found = [(folder / f"{process.pid}.status", folder / f"{process.pid}.said") for process in processes]
    return [(int(status.read_text()), said.read_text()) for status, said in found]


def check_whole(run: RunFolder) -> None:
    """Trained once from its beginning to its end, and nothing is left lying about."""
    assert run.status().state == "done"
    steps = [row["step"] for row in rows(run)]
    assert steps == ["1", "2", "3", "3", "4", "5", "6", "6"]
    assert checkpoint(run)["global_step"] == 6
    assert newest(run.checkpoints) == run.checkpoints / "last.ckpt"
    assert run.log.read_text().count("starting from random weights") == 1
    assert not [path.name for path in run.path.rglob("*.tmp")]
    assert not [path.name for path in run.path.rglob(".*")]
    assert not (run.path / "lease.json").exists()


@pytest.mark.slow
def test_of_fifty_one_trains_and_the_others_say_who(tmp_path):
    """The one that trains waits in its fourth step until all others have ended."""
    (tmp_path / "wait").touch()
    fault = faulty(tmp_path, (2, "wait", "wait"))
    run = planned(*fault, f"runs_dir={tmp_path / 'runs'}", "wait=false", "test=[single]")

    def let_go_at_the_end(processes) -> None:
        alive = list(processes)
        while len(alive) > 1:
            alive[0].join(0.05)
            alive = [process for process in alive if process.is_alive()]
        (tmp_path / "wait").unlink()

    ends = started(run, tmp_path / "starts", 50, let_go_at_the_end)
    assert sorted(status for status, _ in ends) == [0] + [2] * 49
    (pid,) = [path.stem for path in (tmp_path / "starts").glob("*.status") if path.read_text() == "0"]
    for status, said in ends:
        assert status == 0 or f"segsweep: run {run.id} is held by process {pid} on" in said
    check_whole(run)
    assert run.strategies() == ["single"]


def test_those_that_wait_find_it_done(tmp_path):
    run = planned(f"runs_dir={tmp_path / 'runs'}", "test=[single]")
    ends = started(run, tmp_path / "starts", 5, lambda processes: None)
    assert [status for status, _ in ends] == [0] * 5
    assert sum("starting from random weights" in said for _, said in ends) == 1
    assert sum("waiting" in said for _, said in ends) == 4
    check_whole(run)
