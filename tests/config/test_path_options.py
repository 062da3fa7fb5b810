"""The places of a dataset's files are found by their annotation, without importing its class."""

import inspect
import sys
import typing

import pytest
from hydra.utils import get_class

from segsweep.config import groups as config_files
from segsweep.config.path_options import path_options
from segsweep.runs.identity import run_id
from tests.support.composing import member

TARGETS = [config_files.read(file)["dataset"]["_target_"] for _, file in config_files.files("dataset")]


def annotated(cls: type) -> set[str]:
    """By the class itself, as Python has it."""
    hints = {key: hint for base in cls.__mro__ if base is not object
             for key, hint in typing.get_type_hints(base.__init__).items()}  # fmt: skip
    return {key for key, hint in hints.items() if "Path" in str(hint)}


@pytest.mark.parametrize("target", TARGETS)
def test_they_are_those_of_the_class(target):
    cls = get_class(target)
    assert path_options(target) == annotated(cls)
    assert "root" in path_options(target) or "root" not in inspect.signature(cls).parameters


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's own package, which may not be imported."""
    package = tmp_path / "mine"
    package.mkdir()
    monkeypatch.chdir(tmp_path)
    (package / "__init__.py").write_text("from .sets import Mine as Ours\nraise AssertionError('imported')\n")
    (package / "sets.py").write_text(
        "import pathlib\nfrom segsweep.data.sets import camvid as c\nfrom segsweep.data.sets.sbd import Sbd\n"
        "class Mine(c.CamVid):\n"
        "    def __init__(self, *, images_dir: 'str | pathlib.Path', level: int, **options): ...\n"
        "class Sbd(Sbd): ...\n"
        "class More(Mine, Unknown): ...\n"
    )
    return package


def test_those_of_base_classes_count_wherever_they_are_imported_from(own):
    assert path_options("mine.sets.Mine") == {"images_dir", "root", "cache"}
    assert path_options("mine.sets.More") == path_options("mine.Ours") == path_options("mine.sets.Mine")
    assert path_options("mine.sets.Sbd") == {"root", "voc_root", "prepared", "cache"}
    assert path_options("mine.sets.Nobody") == path_options("nowhere.Nobody") == path_options("") == set()
    assert "mine" not in sys.modules


def test_a_folder_of_a_users_own_dataset_makes_no_other_run(own):
    config = member("dataset=camvid").config
    dataset = {"_target_": "mine.sets.Mine", "root": "/a", "images_dir": "/b", "level": 1}

    def id_with(**changes) -> str:
        return run_id({**config, "dataset": {**dataset, **changes}})

    assert id_with() == id_with(images_dir="/c", root="/d", cache="/e")
    assert id_with() != id_with(level=2)
