"""`segsweep reproduce`: the same run once more in another folder, and what it says of the two."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from segsweep import cli
from tests.support.commands import TINY, command, environment, segsweep
from tests.sweeps.launchers.fake_slurm import PAIR

RUN = (*TINY, "head=ksac", "head.rates=[1,2]", "trainer.max_steps=8", "trainer.val_every=4",
       "checkpoint.every=2", "head.dropout=0.3", "test=[single,flip]")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a run, and the same run once more."""
    folder = tmp_path_factory.mktemp("reproduced")
    segsweep("train", *RUN, cwd=folder)
    reproduced(folder)
    return folder


def id_of(folder: Path) -> str:
    (plan,) = folder.glob("runs/*/plan.json")
    return plan.parent.name


def reproduced(folder: Path, *arguments: str, status: int = 0, **env: str) -> dict:
    done = segsweep("reproduce", id_of(folder), *arguments, "format=json", cwd=folder, status=status, **env)
    return json.loads(done.stdout)[-1]


@pytest.fixture
def copy(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the folder in which both runs are finished."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_equal_bit_for_bit(trained):
    old = {path: path.stat().st_mtime_ns for path in trained.glob(f"runs/{id_of(trained)}/**/*")}
    found = reproduced(trained)
    assert found["verdict"] == "equal"
    assert [(one["name"], one["unlike"]) for one in found["weights"]] == [("last.ckpt", 0), ("best.ckpt", 0)]
    assert found["curve"]["first"] is None
    assert [(test["test"], test["verdict"]) for test in found["tests"]] == [
        ("flip", "equal"), ("single", "equal"),
    ]  # fmt: skip
    assert not any(found["differs_in"].values())
    for name in ("metrics.csv", "validation.csv", "tests/single/confusion.csv", "plan.json"):
        there = [(trained / place / name).read_text() for place in (found["old"], found["new"])]
        assert there[0] == there[1]
    assert old == {path: path.stat().st_mtime_ns for path in trained.glob(f"runs/{id_of(trained)}/**/*")}


@pytest.mark.slow
def test_another_order_of_sums_is_noise(trained):
    """KSAC's operation as convolutions adds in another order; two threads are told as what differs."""
    found = reproduced(trained, "out=other", "head.impl=branches", OMP_NUM_THREADS="2")
    assert found["verdict"] == "equal within noise"
    assert found["weights"][0]["unlike"] > 0
    assert found["differs_in"]["hardware"] == ["threads 1 → 2"]


@pytest.mark.slow
def test_killed_and_given_again_it_goes_on(trained, tmp_path):
    process = subprocess.Popen(
        command("reproduce", id_of(trained), f"out={tmp_path}"),
        cwd=trained, env=environment(), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        rows = [path.read_text().splitlines() for path in tmp_path.glob("*/metrics.csv")]
        if rows and len(rows[0]) > 4:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert reproduced(trained, f"out={tmp_path}")["verdict"] == "equal"
    assert "own checkpoint" in next(tmp_path.glob("*/log.txt")).read_text()


def again(*arguments: str) -> int:
    return cli.run(["reproduce", next(Path("runs").glob("*/plan.json")).parent.name, *arguments])


def test_altered_weights_are_not_the_tested_ones(copy, capsys):
    file = copy / "runs" / id_of(copy) / "checkpoints" / "last.ckpt"
    content = torch.load(file, weights_only=True)
    next(iter(content["state_dict"].values())).flatten()[0] += 1e-3
    torch.save(content, file)
    assert again() == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].endswith(": not equal")
    assert "last.ckpt is not the one that its test flip was of" in printed
    assert "last.ckpt: 1 of" in printed


def test_an_altered_curve_is_not_of_these_weights(copy, capsys):
    file = copy / "runs" / id_of(copy) / "metrics.csv"
    head, first, *rows = file.read_text().splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=True))
    cells["loss"] = str(float(cells["loss"]) + 0.5)
    file.write_text("\n".join([head, ",".join(cells.values()), *rows, ""]))
    assert again() == 1
    printed = capsys.readouterr().out
    assert "metrics.csv is not of the training that gives its weights" in printed
    assert "they differ from step 1 on: loss by up to 0.5" in printed


@pytest.mark.slow
def test_a_chain_is_trained_again_whole_or_from_old_weights(tmp_path):
    (tmp_path / "conf" / "stages").mkdir(parents=True)
    (tmp_path / "conf" / "stages" / "pair.yaml").write_text(PAIR)
    segsweep("train", *TINY, "stages=pair", "test=[single]", cwd=tmp_path)
    (last,) = (p.parent for p in tmp_path.glob("runs/*/plan.json") if json.loads(p.read_text())["parent"])
    whole = segsweep("reproduce", last.name, "format=json", cwd=tmp_path)
    assert [one["verdict"] for one in json.loads(whole.stdout)] == ["equal", "equal"]
    alone = segsweep("reproduce", last.name, "chain=false", "format=json", cwd=tmp_path)
    assert [one["verdict"] for one in json.loads(alone.stdout)] == ["equal"]
    assert len(list(tmp_path.glob("runs/reproduced/from_old_weights/*/plan.json"))) == 2
    refused = segsweep("reproduce", last.name, "out=runs/reproduced/from_old_weights", cwd=tmp_path, status=2)
    assert "a link to the old run" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed=1",), "seed=1: cannot be given here, as the old run says what is trained and tested"),
        (("test=[ms]",), "test=[ms]: cannot be given here"),
        (("format=csv",), "format=csv: known: json, table"),
        (("more",), "expected one run, found"),
        (("out=runs",), "out=runs: there the run itself is"),
        (("trainer.devices=0",), "trainer.devices=0: "),
    ],
)
def test_mistakes_are_one_line(copy, capsys, arguments, message):
    capsys.readouterr()
    assert again(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_what_cannot_be_trained_again_as_it_was(copy, capsys):
    """An option of the plan and of the configuration that was changed by hand, and a run that is not done."""
    folder = copy / "runs" / id_of(copy)
    for name, text, other in (
        ("plan.json", '"head.width": 8', '"head.width": 9'),
        ("status.json", '"state": "done"', '"state": "failed"'),
    ):
        file = folder / name
        whole = file.read_text()
        assert text in whole
        file.write_text(whole.replace(text, other))
        assert again() == 2
        file.write_text(whole)
    refused = capsys.readouterr().err
    assert "head.width is 8, but in plan.json 9" in refused
    assert "is failed, not done: there is nothing to compare with" in refused
