"""One holder at a time, whatever the others do and however it ends."""

import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from segsweep.errors import UserError
from segsweep.runs import lease

SPAWN = multiprocessing.get_context("spawn")


def attempt(path: Path, barrier, inside: Path, leave, wait: bool, answers) -> None:
    """Try to hold the lease; inside, note that nobody else is, and stay until told to leave."""
    barrier.wait()
    try:
        with lease.hold(path, "the run", wait, lambda line: None):
            inside.mkdir()  # fails where another process is inside
            leave.wait(60)
            inside.rmdir()
        answers.put("held")
    except UserError as error:
        answers.put(str(error))
    except FileExistsError:
        answers.put("two at once")


def race(folder: Path, count: int, wait: bool) -> list[str]:
    """What each of so many processes that start at once has to say; the holder leaves after all refused."""
    barrier, answers, leave = SPAWN.Barrier(count), SPAWN.Queue(), SPAWN.Event()
    processes = [
        SPAWN.Process(
            target=attempt, args=(folder / "lease.json", barrier, folder / "inside", leave, wait, answers)
        )
        for _ in range(count)
    ]
    for process in processes:
        process.start()
    refused = [] if wait else [answers.get(timeout=60) for _ in processes[1:]]
    leave.set()
    found = [*refused, *(answers.get(timeout=60) for _ in processes[len(refused) :])]
    for process in processes:
        process.join()
    return found


def put(path: Path, **changes) -> None:
    """A lease that somebody left, valid but for what is changed."""
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "started": "", "since": 0.0, "token": "x"}
    path.write_text(json.dumps({**holder, **changes}))


def test_of_many_at_once_one_holds_and_the_others_say_who(tmp_path):
    answers = race(tmp_path, 24, wait=False)
    assert answers.count("held") == 1
    assert all(
        "held by process" in answer and "wait=true" in answer for answer in answers if answer != "held"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["lease.json.mutex"]


def test_those_that_wait_come_one_after_another(tmp_path):
    assert race(tmp_path, 4, wait=True) == ["held"] * 4


def test_of_many_takeovers_of_a_dead_holder_one_wins(tmp_path):
    put(tmp_path / "lease.json", pid=2**22 + 1, started="5")
    answers = race(tmp_path, 24, wait=False)
    assert answers.count("held") == 1
    assert "two at once" not in answers


def test_a_killed_holder_is_known_to_be_dead_at_once(tmp_path):
    path = tmp_path / "lease.json"
    barrier, answers, never = SPAWN.Barrier(2), SPAWN.Queue(), SPAWN.Event()
    process = SPAWN.Process(target=attempt, args=(path, barrier, tmp_path / "inside", never, False, answers))
    process.start()
    barrier.wait()
    while not (tmp_path / "inside").exists():
        time.sleep(0.01)
    assert lease.holder(path).pid == process.pid
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while lease.holder(path) is not None and time.monotonic() < deadline:
        time.sleep(0.01)  # not even reaped
    assert lease.holder(path) is None
    with lease.hold(path, "the run", False, print):
        assert lease.holder(path).pid == os.getpid()
    process.join()


def test_a_process_id_that_is_used_again_is_another_process(tmp_path):
    put(tmp_path / "lease.json", started="1")
    assert lease.holder(tmp_path / "lease.json") is None


def test_a_holder_on_another_machine_is_believed_until_it_is_silent_for_long(tmp_path):
    path = tmp_path / "lease.json"
    put(path, host="elsewhere")
    with pytest.raises(UserError, match=r"process \d+ on elsewhere"):
        lease.hold(path, "it", False, print).__enter__()
    silent = time.time() - lease.TIMEOUT - 5
    os.utime(path, (silent, silent))
    with lease.hold(path, "it", False, print):
        assert lease.holder(path).host == socket.gethostname()


def test_a_holder_that_lost_its_lease_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    path = tmp_path / "lease.json"
    with lease.hold(path, "run 3f", False, print) as held:
        held.check()
        put(path, host="elsewhere")
        time.sleep(0.5)
        with pytest.raises(lease.LeaseLostError, match="run 3f was taken over"):
            held.check()
    assert lease.holder(path).host == "elsewhere", "what another process took is left to it"


def test_the_holder_keeps_it_alive(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    path = tmp_path / "lease.json"
    with lease.hold(path, "it", False, print):
        os.utime(path, (0, 0))
        time.sleep(0.3)
        assert path.stat().st_mtime > time.time() - 60
    assert lease.holder(path) is None
