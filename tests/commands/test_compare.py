"""`segsweep compare`: two configurations on the terminal, and what is wrong with a query in one line."""

import json
import shutil
from pathlib import Path

import pytest

from segsweep import cli
from tests.shared import shared
from tests.support.run_folders import write_run


@pytest.fixture
def runs(tmp_path) -> Path:
    """None and ASPP over two seeds, one seed of ASPP failed; KSAC at two rates was never started."""
    for seed in range(2):
        write_run(tmp_path, {"head": "none", "seed": seed}, {"single": 0.7})
        write_run(tmp_path, {"head": "aspp", "seed": seed}, {"single": 0.8})
        write_run(tmp_path, {"head": "ksac", "head.rates": [1, 6 * (seed + 1)], "seed": 0}, state="planned")
    write_run(tmp_path, {"head": "aspp", "seed": 2}, state="failed", error="loss is no number")
    return tmp_path


def compared(runs: Path, *arguments: str) -> int:
    return cli.run(["compare", *arguments, f"runs_dir={runs}"])


def test_it_fits_on_a_screen(runs, capsys):
    assert compared(runs, "head=none", "head=aspp") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("miou in %, test single on shapes test, 30 images of 48x48")
    assert "over images; 2 seeds)" in lines[1]
    assert "2 seeds: too few for a verdict over seeds (6 would do)" in lines[7]
    assert lines[9].startswith("  not in it, of head=aspp: seed 2 (")
    assert lines[9].endswith("): failed, loss is no number")


def test_two_that_are_alike_on_every_image(tmp_path, capsys):
    for head in ("none", "aspp"):
        write_run(tmp_path, {"head": head, "seed": 0}, {"single": 0.7})
    assert compared(tmp_path, "head=none", "head=aspp") == 0
    printed = capsys.readouterr().out
    assert "second − first: +0.00 points" in printed
    assert "no image shows a difference" in printed
    assert "could tell apart" not in printed


def test_second_minus_first(runs, capsys):
    found = []
    for queries in (("head=none", "head=aspp"), ("head=aspp", "head=none")):
        assert compared(runs, *queries, "format=json", "figure=pixel_accuracy") == 0
        found.append(json.loads(capsys.readouterr().out))
    there, back = found
    assert there["difference"] == pytest.approx(there["second_value"] - there["first_value"])
    assert 8 < there["difference"] < 12
    assert there["low"] < there["difference"] < there["high"]
    assert back["difference"] == pytest.approx(-there["difference"])
    assert (there["images"], there["seeds"], there["groups"]) == (30, 2, None)
    assert there["difference"] == pytest.approx(sum(there["by_seed"]) / 2)


def test_a_difference_of_some_seeds_says_so(runs, capsys):
    """As it may have another sign than the difference of the means above it."""
    write_run(runs, {"head": "none", "seed": 7}, {"single": 0.9})
    assert compared(runs, "head=none", "head=aspp") == 0
    printed = capsys.readouterr().out
    assert " points, over the 2 seeds that both have\n" in printed
    assert "3 seeds)" in printed


def test_a_query_may_be_an_id(runs, capsys):
    ids = [path.parent.name for path in runs.glob("*/plan.json")]
    tested = [id for id in ids if (runs / id / "tests").exists()]
    heads = {json.loads((runs / id / "plan.json").read_text())["choices"]["head"]: id for id in tested}
    assert compared(runs, heads["none"][:8], heads["aspp"], "format=json") == 0
    assert json.loads(capsys.readouterr().out)["runs"] == [[heads["none"]], [heads["aspp"]]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("head=none",), "expected two queries, found head=none"),
        (("head=none", "head=asp"), "head=asp: no run; head is aspp, ksac, none"),
        (("head=none", "head=ksac"), "head=ksac: 2 configurations (head.rates is [1,6], [1,12]); add what"),
        (("head=none", "head=ksac head.rates=[1,6]"), "none of its 1 run is tested (seed 0"),
        (("head=none", "head=none seed=0"), "the same runs as head=none"),
        (("head=none", "head=aspp", "test=ms"), "test=ms: head=none has no such test; known: single"),
        (("head=none", "head=aspp", "figure=iou"), "figure=iou: did you mean miou"),
        (("head=none", "head=aspp", "format=csv"), "format=csv: known: json, table"),
        (("head=none", "note=val"), "were not measured alike: split val for test"),
    ],
)
def test_mistakes_are_one_line(runs, capsys, arguments, message):
    write_run(runs, {"head": "none", "note": "val", "seed": 5}, {"single": 0.7}, card={"split": "val"})
    if "note=val" not in arguments:
        shutil.rmtree(next(path.parent for path in runs.glob("*/plan.json") if "val" in path.read_text()))
    else:
        arguments = ("head=none seed=0", *arguments[1:])
    assert compared(runs, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_real_sweep_gives_its_known_difference(tmp_path, capsys):
    """By the counts of 233 frames, paired: 1.64 points, 1.14 to 2.13 over images."""
    shutil.copytree(shared("data/runs_camvid"), tmp_path / "runs", copy_function=shutil.copyfile)
    queries = ("head=none", "head=aspp head.rates=[6,12,18]", "test=single", "format=json")
    assert compared(tmp_path / "runs", *queries) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["difference"], found["low"], found["high"]) == pytest.approx((1.64, 1.14, 2.13), abs=0.1)
    assert (found["images"], found["seeds"]) == (233, 3)
    assert found["p_images"] < 0.01
    assert found["verdict_seeds"] == "3 seeds: too few for a verdict over seeds (6 would do)"
    assert found["groups"]["unit"] == "blocks, conditional on these 2 drives"
