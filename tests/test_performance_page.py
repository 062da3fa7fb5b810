"""benchmarks/performance.py, which makes the tables of docs/performance.md from kept results."""

import json

import pytest

from benchmarks import performance
from benchmarks.report import markdown
from benchmarks.timing import Spread, Times, interleaved


def test_the_page_shows_the_kept_results():
    text = performance.PAGE.read_text()
    assert performance.renewed(text) == text, "python -m benchmarks.performance renews it"


def test_several_calls_of_a_benchmark_make_one_table(tmp_path):
    machine = {"cpu": "a CPU", "cores": 2, "threads": 1, "torch": "2.12"}
    for name, channels in (("op", 96), ("op-large", 2048), ("operators", 1)):
        result = {"command": f"measure {channels}", "date": "2026-01-02", "commit": "abc", "machine": machine}
        result["tables"] = {"training": [{"C": channels, "ratio": Spread(1.0, 0.5, 2.0).json()}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    lines = list(performance.tables(tmp_path, "op"))
    assert lines[0] == "a CPU, 2 cores, 1 threads, torch 2.12, 2026-01-02 at abc. Made by:"
    assert lines[-4:] == [
        "| C | ratio |",
        "| ---: | ---: |",
        "| 96 | 1.00 (0.50–2.00) |",
        "| 2048 | 1.00 (0.50–2.00) |",
    ]
    assert lines[lines.index("```sh") + 1 : lines.index("```")] == ["measure 96", "measure 2048"]


def test_words_are_aligned_to_the_left_and_missing_cells_are_empty():
    assert markdown([{"what": "one", "ms": 1234.5}, {"what": "two", "ms": None}]) == [
        "| what | ms |",
        "| --- | ---: |",
        "| one | 1,234 |",
        "| two |  |",
    ]


def test_things_take_turns():
    called = []
    times = interleaved({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, rounds=2)
    once = [name for i, name in enumerate(called) if i == 0 or called[i - 1] != name]
    assert once == ["a", "b"] * (len(once) // 2)
    assert times.rounds == 2


def test_a_ratio_is_taken_in_each_turn():
    times = Times({"slow": [2.0, 40.0, 8.0], "quick": [1.0, 10.0, 4.0]})
    assert times.ratio("slow", "quick") == Spread(2.0, 2.0, 3.0)
    assert times.median("slow") == pytest.approx(8)
