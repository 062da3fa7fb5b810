"""From a folder of one's own images to a report, as a user does it."""

import json
import subprocess

import pytest

from segsweep import cli
from segsweep.builders import build_dataset
from segsweep.data.sets.image_folder import Folder
from segsweep.errors import UserError
from segsweep.inference.load import load
from tests.data.writers_own import (
    TABLE,
    WITH_ONE,
    cut,
    image_file,
    write_folder,
    write_mistakes,
    write_one,
)
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
    assert (card["dataset"], card["num_classes"], card["images"]) == ("own", 3, 2)
    segsweep("report", "out=page", cwd=tmp_path)
    figures = json.loads((tmp_path / "page" / "report.json").read_text())
    assert run.parent.name in str(figures)
    assert "#28c828" in str(figures)
    what = load(run.parent, "cpu").description
    assert (what.dataset, what.classes, what.palette) == ("own", data.classes, data.palette)
    root.rename(tmp_path / "moved")
    what = load(run.parent, "cpu").description
    assert (what.dataset, what.classes) == ("own", data.classes), "known without the images"


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
    with pytest.raises(UserError, match=r"num_classes=5: Folder has 3 classes .*set num_classes to 3"):
        build_dataset(member("dataset=folder", f"dataset.root={root}", "num_classes=5").config)


@pytest.mark.parametrize("name", [name for name in WITH_ONE if WITH_ONE[name].file])
def test_training_refuses_a_mistake_in_one_line_before_anything_is_written(tmp_path, capfd, name):
    mistake, root = WITH_ONE[name], write_one(tmp_path / "own", name)
    given = ["dataset=folder", f"dataset.root={root}", *SMALL, f"runs_dir={tmp_path / 'runs'}"]
    assert cli.run(["train", *given]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("segsweep: ")]
    for words in (str(root / mistake.file), mistake.problem, mistake.repair):
        assert words in line
    assert not list(tmp_path.glob("runs/*/plan.json"))


def test_what_is_understood_trains(tmp_path):
    root = write_folder(tmp_path / "own", kind="colour")
    (root / "classes.csv").write_text(TABLE)
    for n, mistake in enumerate(WITH_ONE.values()):
        if not mistake.file:
            mistake.do(root, n % 10)
    segsweep("train", "dataset=folder", f"dataset.root={root}", "dataset.name=farm", *SMALL, cwd=tmp_path)
    (card,) = (tmp_path / "runs").glob("*/tests/single/protocol.json")
    assert json.loads(card.read_text())["dataset"] == "farm"


def test_an_image_that_is_cut_short_ends_training_in_one_line(tmp_path, capfd):
    """Its header is right, so that only a check, which reads the pixels, sees it before."""
    root = write_folder(tmp_path / "own")
    for n in range(10):
        cut(image_file, 700)(root, n)
    given = ["dataset=folder", f"dataset.root={root}"]
    assert cli.run(["data", "check", *given, "workers=0"]) == 1
    assert "10 problems" in capfd.readouterr().out
    assert cli.run(["train", *given, *SMALL, f"runs_dir={tmp_path / 'runs'}", "num_workers=0"]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("segsweep: ")]
    assert "truncated" in line
    assert "fetch the file again" in line


def test_a_check_reports_all_mistakes_at_once(tmp_path, capfd):
    root = write_mistakes(tmp_path / "own")
    arguments = ["data", "check", "dataset=folder", f"dataset.root={root}", "workers=0", "format=json"]
    assert cli.run(arguments) == 1
    assert len(json.loads(capfd.readouterr().out)["problems"]) == 7


def test_a_folder_is_called_by_its_name_which_is_no_part_of_the_run(tmp_path):
    root = write_folder(tmp_path / "farm")
    given = ("dataset=folder", f"dataset.root={root}")
    found, named = member(*given), member(*given, "dataset.name=barns")
    assert found.config.dataset["name"] == "farm"
    assert build_dataset(named.config).title == "barns"
    assert found.id == named.id


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
