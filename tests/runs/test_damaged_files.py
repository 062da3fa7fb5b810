"""Damaged files of one run or sweep, of every kind: a line with the file's name, and nothing else suffers."""

import json
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from segsweep.commands import report
from segsweep.config.groups import GROUPS, choices
from segsweep.config.schema import RunConfig
from segsweep.errors import DamagedFileError, DataError, UserError
from segsweep.evaluation.counts import Counts
from segsweep.planning.plan import write
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.journal import DONE, Journal
from segsweep.training.metrics_file import MetricsFile
from tests.support.commands import TINY
from tests.support.composing import composed, configuration, member
from tests.support.in_process import run

OLD = Path(__file__).parent / "old_run"
FLIPPED = {
    "number": lambda _: b"5",
    "list": lambda _: b"[]",
    "null": lambda _: b"null",
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "no UTF-8": lambda data: data[:9] + b"\xff" + data[9:],
    "deep": lambda _: b"[" * 100_000,
}
FIELDS = {
    "plan.json": ["identity", "choices", "overrides", "id"],
    "status.json": ["state", "step"],
    "tests/single/metrics.json": ["miou", "images", "fwiou"],
    "tests/single/asked.json": ["strategy", "suffix"],
    "tests/single/protocol.json": ["dataset", "checkpoint", "image_sizes", "split_hash", "strategy"],
}

ASKED_FOR = RunConfig.of(
    {
        "test": {"single": {"_target_": "segsweep.evaluation.strategies.Strategy"}},
        "predictions": None,
        "split": None,
        "checkpoint": {"test": "last"},
    }
)


@pytest.fixture
def two(tmp_path) -> tuple[RunFolder, RunFolder]:
    """A run that is done, to be damaged, and a planned one; both of a sweep."""
    runs = tmp_path / "runs"
    (old,) = (path.parent for path in OLD.glob("*/plan.json"))
    shutil.copytree(old, runs / old.name)
    other = write(member(*TINY, f"runs_dir={runs}"))
    journal = Journal(runs, "mine")
    journal.extend([{"run": old.name, "overrides": []}, {"run": other.id, "overrides": []}], named=True)
    journal.note(old.name, DONE)
    journal.note(other.id, DONE)
    return RunFolder(runs / old.name), RunFolder(other.path)


def _damages(file: str, data: bytes) -> dict[str, bytes]:
    """The file in all its damaged forms: as a whole, and field by field gone or of another kind."""
    found = {name: change(data) for name, change in FLIPPED.items()}
    for field in FIELDS.get(file, ()):
        content = json.loads(data)
        value = content.pop(field)
        found[f"no {field}"] = json.dumps(content).encode()
        for other in ("text", -1.5, [1], {"a": 1}):
            if type(other) is not type(value):
                found[f"{field}={other}"] = json.dumps({**content, field: other}).encode()
    return found


def _each(path: Path, file: str, look: Callable[[str], None]) -> None:
    whole = path.read_bytes()
    for name, damaged in _damages(file, whole).items():
        path.write_bytes(damaged)
        look(name)
    path.write_bytes(whole)


@pytest.mark.parametrize("file", [*FIELDS, "config.yaml", "environment.json"])
def test_a_listing_names_the_file_and_shows_the_others(two, capsys, file):
    bad, good = two
    commands = [(), ("sweeps",), ("show", good.id), ("head=aspp", "trainer.devices=1")]

    def look(damage: str) -> None:
        shown = []
        for arguments in commands:
            assert run(*arguments, f"runs_dir={good.path.parent}") == 0, (arguments, damage)
            shown.append(capsys.readouterr().out)
        assert all(good.id in out for out in (shown[0], shown[2])), damage
        assert " mine " in shown[1], damage
        for command in (["show", bad.id], ["verify", "format=json"], [bad.id[:4]]):
            with suppress(UserError):
                run(*command, f"runs_dir={good.path.parent}")
        with suppress(UserError):  # whatever it says, it is no traceback
            RunFolder(bad.path).is_complete(ASKED_FOR)

    _each(bad.path / file, file, look)


@pytest.mark.parametrize("file", ["plan.json", "config.yaml"])
def test_what_a_run_is_is_written_anew_by_its_command(two, file):
    """Its id is a hash of it: whoever asks for the run knows what was there."""
    _, run = two
    path, asked = run.path / file, member(*TINY, f"runs_dir={run.path.parent}")
    run.update_status(state="done")
    whole = path.read_bytes()

    def look(damage: str) -> None:
        if (file, damage) == ("config.yaml", "cut"):
            return  # may be whole to all that can be told
        with pytest.raises(UserError, match=file):
            RunFolder(run.path).config()
        write(asked)
        assert path.read_bytes() == whole, damage

    _each(path, file, look)


def test_a_configuration_of_other_values_is_damaged(two):
    """A flipped bit may make another number of one: the network would be another one than was trained."""
    _, run = two
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("width: 8", "width: 9"))
    with pytest.raises(DamagedFileError, match=r"config.yaml: damaged .*head.width is 9, but in plan.json 8"):
        run.config()


def test_a_damaged_sweep_is_left_out_and_others_are_told(two, capsys):
    _, good = two
    runs = good.path.parent
    Journal(runs, "other").extend([{"run": good.id, "overrides": []}], named=True)
    record, events = (runs / "sweeps" / f"mine.{kind}" for kind in ("json", "jsonl"))

    def look(damage: str) -> None:
        assert run("sweeps", f"runs_dir={runs}") == 0
        assert " other " in capsys.readouterr().out, damage
        assert run("show", good.id, f"runs_dir={runs}") == 0
        for command in (["gc"], ["sweep=mine"]):
            with suppress(UserError):
                run(*command, f"runs_dir={runs}")

    record_fields = {"runs": None, "members": "x", "name": 5}
    whole = json.loads(record.read_text())
    for field, value in record_fields.items():
        record.write_text(json.dumps({**whole, field: value}))
        look(field)
    record.write_text(json.dumps({**whole, "members": [{"rtn": good.id, "number": 1}]}))
    look("member")
    record.write_text(json.dumps(whole))
    _each(record, "mine.json", look)
    _each(events, "mine.jsonl", look)


def test_a_damaged_line_of_a_journal_leaves_the_others(tmp_path, caplog_segsweep):
    journal = Journal(tmp_path, "s")
    for number in range(4):
        journal.note(f"run{number}", DONE)
    lines = journal.events_file.read_text().splitlines()
    lines[1] = lines[1].replace('"attempt"', '"attemqt"')
    lines[2] = lines[2].replace('"done"', '"dnne"')
    journal.events_file.write_text("\n".join(lines) + "\n")
    assert list(Journal(tmp_path, "s").states()) == ["run0", "run3"]
    assert caplog_segsweep == [f"{journal.events_file}: 2 damaged of 4 lines, left out"]


@pytest.fixture
def caplog_segsweep(monkeypatch) -> list[str]:
    """Warnings from now on."""
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("segsweep"), "warning", lines.append)
    return lines


@pytest.mark.parametrize("file", ["tests/single/metrics.json", "tests/single/protocol.json"])
def test_a_report_leaves_out_a_damaged_test(two, tmp_path, capsys, file):
    bad, _ = two
    shutil.copytree(bad.path / "tests" / "single", bad.path / "tests" / "flip")

    def look(damage: str) -> None:
        assert report.main([f"runs_dir={bad.path.parent}", f"out={tmp_path / 'report'}"]) == 0, damage
        assert "flip" in capsys.readouterr().out, damage

    _each(bad.path / file, file, look)


def test_damaged_counts_are_named(tmp_path):
    """With a bit flipped in each part of the file: most are found by its checksums, none is a traceback."""
    counts = Counts(2)
    for name in "abc":
        counts.update(name, np.zeros((16, 16), np.uint8), np.eye(16, dtype=np.uint8))
    counts.save(tmp_path, ("ground", "line"))
    path, found = tmp_path / "counts.npz", 0
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            Counts.load(tmp_path)
        except DataError as error:
            found += str(path) in str(error)
    assert found > len(whole) / 7 / 3


def test_a_damaged_row_of_metrics_goes_with_a_line_that_quotes_it(tmp_path, caplog_segsweep):
    file = MetricsFile(tmp_path / "metrics.csv", ("step", "loss"))
    file.rewind(0)
    for step in range(1, 5):
        file.append({"step": step, "loss": step / 2})
    data = file.path.read_bytes().replace(b"2,1.0", b"2\xff1.0").replace(b"3,1.5", b"3,1.5,")
    file.path.write_bytes(data)
    assert [row["step"] for row in MetricsFile.read(file.path)] == [1, 4]
    file.rewind(4)
    assert file.path.read_text() == "step,loss\n1,0.5\n4,2.0\n"
    assert [line.split(": ")[1] for line in caplog_segsweep] == [
        f"line {number} is damaged and left out" for number in (3, 4)
    ]


def test_no_choice_of_the_shipped_configuration_counts_as_damaged(tmp_path):
    with configuration():
        for group in (group for group in GROUPS if group not in ("stages", "test")):
            for choice in choices(group):
                # A folder's classes are found in its files, and there are none.
                given = ["num_classes=3"] if choice == "folder" else []
                write(composed(f"{group}={choice}", *given, f"runs_dir={tmp_path}"))
        write(composed("test=[]", "seed=-1", "size=48", f"runs_dir={tmp_path}"))
    runs = all_runs(tmp_path)
    assert len(runs) > 30
    for each in runs:
        assert each.config()["runs_dir"] == str(tmp_path)
