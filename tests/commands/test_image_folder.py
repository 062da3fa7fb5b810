"""From a folder of one's own images to a report, as a user does it."""

import json
import subprocess
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.data.sets.image_folder import Folder
from segsweep.errors import UserError
from tests.data.writers_own import write_folder, write_mistakes
from tests.support.commands import segsweep
from tests.support.composing import member

SMALL = (
    "backbone=mobilenetv3_small", "head=aspp", "head.rates=[1,2]", "head.width=8", "size=48", "batch_size=4",
    "trainer.max_steps=2", "trainer.accelerator=cpu",
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_is_trained_tested_and_reported(tmp_path):
    root = write_folder(tmp_path / "own", kind="colour")
    given = ("dataset=folder", f"dataset.root={root}")
    segsweep("train", *given, *SMALL, cwd=tmp_path)
    (run,) = (tmp_path / "runs").glob("*/plan.json")
    card = json.loads((run.parent / "tests/single/protocol.json").read_text())
    data = Folder(root=root)
    assert card["split_hash"] == data.split_hash("test")
    assert (card["dataset"], card["num_classes"], card["images"]) == ("folder", 3, 2)
    segsweep("report", "out=page", cwd=tmp_path)
    figures = json.loads((tmp_path / "page" / "report.json").read_text())
    assert run.parent.name in str(figures)
    assert "#28c828" in str(figures)


def test_the_number_of_classes_given_or_found_is_one_run_and_another_split_another(tmp_path):
    given = ("dataset=folder", f"dataset.root={write_folder(tmp_path / 'own')}")
    found = member(*given)
    assert found.config.num_classes == 3
    assert found.id == member(*given, "num_classes=3").id
    assert found.id != member(*given, "dataset.split_seed=1").id
    assert member(*given, "num_classes=5").config.num_classes == 5, "classes that no mask holds"


def test_a_table_and_another_number_of_classes_contradict_each_other(tmp_path):
    root = write_folder(tmp_path / "own")
    (root / "classes.txt").write_text("ground\nbarn\ntree\n")
    from segsweep.builders import build_dataset

    with pytest.raises(UserError, match=r"num_classes=5: Folder has 3 classes .*set num_classes to 3"):
        build_dataset(member("dataset=folder", f"dataset.root={root}", "num_classes=5").config)


@pytest.mark.parametrize("command", [("train",), ("plan",)])
def test_a_mistake_is_one_line_before_anything_is_written(tmp_path, capfd, command):
    root = write_mistakes(tmp_path / "own")
    assert cli.run([*command, "dataset=folder", f"dataset.root={root}", f"runs_dir={tmp_path / 'runs'}"]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("segsweep: ")]
    assert "own/masks/im03.png: label of mode I;16" in line
    assert not list(Path(tmp_path).glob("runs/*/plan.json"))


def test_a_check_reports_all_mistakes_at_once(tmp_path, capfd):
    root = write_mistakes(tmp_path / "own")
    arguments = ["data", "check", "dataset=folder", f"dataset.root={root}", "workers=0", "format=json"]
    assert cli.run(arguments) == 1
    assert len(json.loads(capfd.readouterr().out)["problems"]) == 7


def test_a_check_shows_what_was_understood_and_how_to_name_the_classes(tmp_path, capfd):
    root = write_folder(tmp_path / "own", kind="colour")
    arguments = ["data", "check", "dataset=folder", f"dataset.root={root}", "workers=0"]
    assert cli.run(arguments) == 0
    out = capfd.readouterr().out
    for words in ("3 classes found, masks read by colour", "48x64", "10,240", "dataset.split_seed=0"):
        assert words in out
    (command,) = [line.partition("in: ")[2] for line in out.splitlines() if "printf" in line]
    subprocess.run(command.replace("#28c828", "tree"), shell=True, check=True)
    assert cli.run(arguments) == 0
    out = capfd.readouterr().out
    assert "3 classes by " in out
    assert "tree" in out
