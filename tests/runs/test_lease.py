"""One holder at a time, whatever the others do and however it ends."""

import errno
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from segsweep import processes
from segsweep.errors import UserError
from segsweep.runs import lease
from segsweep.runs.lease import Holder
from tests.support.forks import FORKS


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
    barrier, answers, leave = FORKS.Barrier(count), FORKS.Queue(), FORKS.Event()
    processes = [
        FORKS.Process(
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
    """A lease that a process of this place left, valid but for what is changed."""
    holder = Holder.of_this_process().plain() | {"token": "x"}
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
    barrier, answers, never = FORKS.Barrier(2), FORKS.Queue(), FORKS.Event()
    process = FORKS.Process(target=attempt, args=(path, barrier, tmp_path / "inside", never, False, answers))
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
    put(path, host="elsewhere", place="another boot", started="1")
    with pytest.raises(UserError, match=r"process \d+ on elsewhere"):
        lease.hold(path, "it", False, print).__enter__()
    silent = time.time() - lease.TIMEOUT - 5
    os.utime(path, (silent, silent))
    with lease.hold(path, "it", False, print):
        assert lease.holder(path).host == socket.gethostname()


def test_a_holder_in_another_container_of_this_machine_is_not_known_to_be_dead(tmp_path):
    """Containers may share a host name, and each has a process 1."""
    boot, namespace = Holder.of_this_process().place.split()
    put(tmp_path / "lease.json", place=f"{boot} pid:[1]", pid=1, started="5")
    assert lease.holder(tmp_path / "lease.json").pid == 1
    put(tmp_path / "lease.json", place=f"{boot} {namespace}", pid=1, started="5")
    assert lease.holder(tmp_path / "lease.json") is None


def test_a_process_that_proc_hides_is_not_known_to_be_dead(tmp_path, monkeypatch):
    """With hidepid, /proc does not show the processes of other users."""
    put(tmp_path / "lease.json", started="5")
    assert lease.holder(tmp_path / "lease.json") is None, "it started at another time"
    monkeypatch.setattr(processes, "Path", lambda path: Path(path.replace("/proc/", "/hidden/")))
    assert lease.holder(tmp_path / "lease.json") is not None


def test_a_lease_of_an_older_version_is_believed_until_it_is_silent(tmp_path):
    older = {"host": socket.gethostname(), "pid": os.getpid(), "started": "5", "since": 0.0, "token": "x"}
    (tmp_path / "lease.json").write_text(json.dumps(older))
    assert lease.holder(tmp_path / "lease.json").token == "x"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"host": 3}', "\0"])
def test_a_lease_that_tells_of_nobody_is_left_to_time_out(content, tmp_path):
    path = tmp_path / "lease.json"
    path.write_text(content)
    assert "unknown machine" in str(lease.holder(path))
    os.utime(path, (0, 0))
    assert lease.holder(path) is None


def test_a_lease_has_the_mode_that_the_umask_leaves(tmp_path):
    """So that a group can read who holds a run."""
    before = os.umask(0o002)
    try:
        with lease.hold(tmp_path / "lease.json", "it", False, print):
            mode = (tmp_path / "lease.json").stat().st_mode & 0o777
    finally:
        os.umask(before)
    assert mode == 0o664


def test_a_private_lease_of_another_user_counts_as_held(tmp_path, monkeypatch):
    path = tmp_path / "lease.json"
    put(path)

    def refuse(self: Path) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert "unknown machine" in str(lease.holder(path))


def test_a_silent_holder_is_known_in_a_folder_that_may_only_be_read(tmp_path, monkeypatch):
    path = tmp_path / "lease.json"
    put(path, place="another boot")

    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert lease.holder(path) is not None
    os.utime(path, (0, 0))
    assert lease.holder(path) is None


def test_hard_links_are_not_needed(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "no hard links")

    monkeypatch.setattr(os, "link", refuse)
    put(tmp_path / "lease.json", started="5")
    with lease.hold(tmp_path / "lease.json", "it", False, print) as held:
        held.check()


def test_a_full_disk_leaves_no_half_lease(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("json.dump", full)
    with pytest.raises(UserError, match="No space left"):
        lease.hold(tmp_path / "lease.json", "it", False, print).__enter__()
    assert not (tmp_path / "lease.json").exists()


def test_a_holder_that_lost_its_lease_is_told(tmp_path):
    path = tmp_path / "lease.json"
    with lease.hold(path, "run 3f", False, print) as held:
        held.check()
        put(path, host="elsewhere", place="another boot")
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
