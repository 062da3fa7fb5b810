"""The journal: lines of many writers, states that only move forward, numbers that stay."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segsweep.runs.journal import BEGAN, DONE, FAILED, FORWARD, INTERRUPTED, LEFT_OUT, Journal

SPAWN = multiprocessing.get_context("spawn")
WRITERS, LINES = 8, 40


def _write(folder: str, writer: int) -> None:
    journal = Journal(Path(folder), "s")
    for line in range(LINES):
        journal.note(f"{writer}-{line}", BEGAN, what="x" * (line * 97 % 3000))
        journal.note("shared", FORWARD[line % len(FORWARD)])


def test_lines_of_eight_processes_are_whole_and_none_is_lost(tmp_path):
    _all_at_once(_write, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "sweeps" / "s.jsonl").read_text().splitlines()]
    mine = {line["run"] for line in lines if line["run"] != "shared"}
    assert mine == {f"{writer}-{line}" for writer in range(WRITERS) for line in range(LINES)}
    assert len(lines) > len(mine), "and those of the shared run, less what was known"
    attempts = [line["attempt"] for line in lines if line["run"] == "shared" and line["state"] == BEGAN]
    assert len(set(attempts)) == len(attempts), "no two beginnings are the same attempt"
    assert attempts == sorted(attempts)


def _add(folder: str, writer: int) -> None:
    for first in range(3):
        wanted = [f"{number:03}" for number in range(first, 20 * writer + 10)]
        Journal(Path(folder), "s").extend([{"run": run, "overrides": []} for run in wanted], named=True)


def test_members_added_by_many_at_once_have_numbers_of_their_own(tmp_path):
    _all_at_once(_add, tmp_path, writers=3)
    members = Journal(tmp_path, "s").members()
    assert [member.number for member in members] == list(range(1, 51))
    assert sorted(member.run for member in members) == [f"{number:03}" for number in range(50)]


def _all_at_once(work, folder: Path, writers: int = WRITERS) -> None:
    processes = [SPAWN.Process(target=work, args=(str(folder), number)) for number in range(writers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * writers


def test_numbers_stay_when_members_are_added_before_or_left_away(tmp_path):
    journal = Journal(tmp_path, "s")
    assert journal.extend(_members("b", "d"), named=False) == 0
    assert journal.extend(_members("a", "b", "c"), named=True) == 1
    assert journal.extend(_members("d")) == 1
    numbers = journal.numbers()
    assert numbers == {"b": 1, "d": 2, "a": 3, "c": 4}
    assert journal.read().named is False, "as it was begun"


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path):
    journal, path = Journal(tmp_path, "s"), tmp_path / "sweeps" / "s.jsonl"
    journal.note("a", BEGAN)
    journal.note("b", BEGAN)
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[0][:-7])
    assert set(Journal(tmp_path, "s").states()) == {"a", "b"}
    for late in (journal, Journal(tmp_path, "s")):
        late.note("a", DONE)
    states = Journal(tmp_path, "s").states()
    assert {run: event.state for run, event in states.items()} == {"a": DONE, "b": BEGAN}
    assert path.read_bytes().startswith(whole)


def test_killed_writers_leave_lines_that_are_whole_but_for_the_last(tmp_path):
    script = (
        "import sys; from pathlib import Path; from segsweep.runs.journal import BEGAN, Journal\n"
        "journal = Journal(Path(sys.argv[1]), 's')\n"
        "for number in range(10**6): journal.note(sys.argv[2], BEGAN, number=number)"
    )
    path = tmp_path / "sweeps" / "s.jsonl"
    for turn in range(3):
        command = [sys.executable, "-c", script, str(tmp_path), str(turn)]
        process = subprocess.Popen(command)
        while not path.exists() or f'"run": "{turn}"' not in path.read_text():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.01 * turn)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    lines = path.read_bytes().split(b"\n")
    told = [json.loads(line) for line in lines[:-1]]
    for turn in range(3):
        numbers = [line["number"] for line in told if line["run"] == str(turn)]
        assert numbers == list(range(len(numbers)))
        assert numbers
    Journal(tmp_path, "s").note("next", DONE)
    assert {"0", "1", "2", "next"} == set(Journal(tmp_path, "s").states())


@pytest.mark.parametrize("seed", range(20))
def test_states_never_move_back(seed, tmp_path):
    """Any launchers, any events in any order, lines doubled and lost: attempt and state only grow."""
    chance = random.Random(seed)
    launchers = [Journal(tmp_path, "s") for _ in range(3)]
    path, reader, before = tmp_path / "sweeps" / "s.jsonl", Journal(tmp_path, "s"), {}
    for _ in range(60):
        chance.choice(launchers).note(chance.choice("ab"), chance.choice(FORWARD))
        if chance.random() < 0.2:
            with path.open("ab") as file:  # a line that comes late and once more
                file.write(chance.choice(path.read_bytes().splitlines()) + b"\n")
        states = reader.states()
        for run, event in states.items():
            progress = (event.attempt, FORWARD.index(event.state))
            assert progress >= before.get(run, (0, 0))
            before[run] = progress
    assert Journal(tmp_path, "s").states() == reader.states()
    lines = path.read_bytes().splitlines()
    chance.shuffle(lines)
    path.write_bytes(b"\n".join(lines) + b"\n")
    shuffled = Journal(tmp_path, "s").states()
    assert {run: (e.attempt, e.state) for run, e in shuffled.items()} == {
        run: (e.attempt, e.state) for run, e in reader.states().items()
    }


def test_a_late_word_is_of_its_own_attempt(tmp_path):
    """A launcher that was suspended, and says so late, of a run that another has finished meanwhile."""
    slow, other = Journal(tmp_path, "s"), Journal(tmp_path, "s")
    slow.note("a", BEGAN)
    other.note("a", BEGAN)
    slow.note("a", FAILED)
    assert other.states()["a"].state == BEGAN
    other.note("a", DONE)
    slow.note("a", INTERRUPTED)
    found = other.states()["a"]
    assert (found.attempt, found.state) == (2, DONE)


def test_a_new_command_begins_a_new_attempt_and_what_is_done_is_said_once(tmp_path):
    def last(*states: str) -> tuple[int, str]:
        journal = Journal(tmp_path, "s")
        for state in states:
            journal.note("a", state)
        event = journal.states()["a"]
        return event.attempt, event.state

    assert last(BEGAN, FAILED) == (1, FAILED)
    assert last(BEGAN, FAILED, BEGAN, INTERRUPTED) == (3, INTERRUPTED), "tried again"
    assert last(LEFT_OUT) == (4, LEFT_OUT)
    assert last(BEGAN, DONE) == (5, DONE)
    lines = (tmp_path / "sweeps" / "s.jsonl").read_text()
    assert last(DONE) == (5, DONE)
    assert (tmp_path / "sweeps" / "s.jsonl").read_text() == lines
    assert last(BEGAN) == (6, BEGAN), "force=true"


def test_an_event_costs_the_same_in_a_long_journal(tmp_path, monkeypatch):
    """Counted in bytes read, not in time: what is read was written since the last look."""
    journal, read = Journal(tmp_path, "s"), []
    original = Journal._take_in

    def counted(self, file):
        before = self._read_to
        original(self, file)
        read.append(self._read_to - before)

    monkeypatch.setattr(Journal, "_take_in", counted)
    for number in range(300):
        journal.note(str(number), BEGAN)
    assert max(read) < 2 * len((tmp_path / "sweeps" / "s.jsonl").read_bytes()) / 300


def _members(*runs: str) -> list[dict[str, str]]:
    return [{"run": run} for run in runs]
