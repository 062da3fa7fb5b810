import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from segsweep import cli
from tests.data.writers import write_camvid
from tests.data.writers_coco import write_coco
from tests.support.commands import command, environment, segsweep

SMALL = "dataset.release_size=[36,48]"
"""The size of the fake images."""


def camvid(root: Path) -> tuple[str, ...]:
    return ("data", "check", "dataset=camvid", f"dataset.root={write_camvid(root)}", SMALL, "workers=0")


def test_json_alone_is_on_stdout_and_the_status_tells_of_problems(tmp_path):
    arguments = (*camvid(tmp_path / "camvid"), "partial=true", "format=json")
    result = segsweep(*arguments, cwd=tmp_path)
    assert json.loads(result.stdout) == {"splits": {"train": 4, "val": 2, "test": 2}, "problems": []}
    assert result.stderr == ""
    label = tmp_path / "camvid/valannot/val_0000.png"
    Image.new("L", (48, 36), 77).save(label)
    content = json.loads(segsweep(*arguments, cwd=tmp_path, status=1).stdout)
    assert list(content) == ["splits", "problems"]
    (problem,) = content["problems"]
    assert list(problem) == ["file", "problem", "repair"]
    assert problem["file"] == str(label)
    assert "77" in problem["problem"]
    assert not (tmp_path / "runs").exists(), "a check leaves nothing behind"


def test_table_shows_counts_classes_and_problems(tmp_path, capfd):
    arguments = camvid(tmp_path / "camvid")
    (tmp_path / "camvid/train/train_0003.jpg").unlink()
    assert cli.run([*arguments, f"out={tmp_path / 'report.md'}"]) == 1
    out = capfd.readouterr().out
    for words in ("367", "bicyclist", "train_0003.jpg", "repair: ", "4 problems, all in"):
        assert words in out
    assert "train_0003.jpg" in (tmp_path / "report.md").read_text()
    assert cli.run([*arguments, f"out={tmp_path / 'report.json'}", "format=json"]) == 1
    assert json.loads(capfd.readouterr().out) == json.loads((tmp_path / "report.json").read_text())


def test_options_of_the_data_set_are_those_of_training(tmp_path, capfd):
    write_camvid(tmp_path / "camvid")
    for file in (tmp_path / "camvid/trainannot").glob("*.png"):
        Image.new("L", (48, 36), 0).save(file)
    base = ["data", "check", "dataset=camvid", SMALL, f"data_dir={tmp_path}", "workers=0", "partial=true"]
    assert cli.run(base) == 0
    assert "never in train: building" in capfd.readouterr().out
    assert cli.run([*base, "dataset.train_split=trainval"]) == 0
    assert "never in" not in capfd.readouterr().out, "val has all classes"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check",), ("dataset=NAME", "camvid")),
        (("chek", "dataset=camvid"), ("chek", "did you mean check")),
        (("check", "dataset=camvit"), ("camvit", "did you mean camvid")),
        (("check", "dataset=camvid", "dataset.rot=x"), ("dataset.rot", "did you mean root")),
        (("check", "dataset=camvid", "format=csv"), ("format=csv", "json")),
        (("check", "dataset=camvid", "partial=ja"), ("partial=ja", "true or false")),
        (("check", "dataset=camvid", "workers=-1"), ("workers=-1", "processes")),
        (("check", "-m", "dataset=camvid"), ("-m", "one dataset")),
        (("check", "dataset=camvid,ade20k"), ("dataset=camvid,ade20k", "one dataset")),
        (("check", "dataset=camvid", "data_dir=/nowhere"), ("/nowhere/camvid", "no such folder")),
        (("check", "dataset=shapes", "dataset.train_images=1", "workers=0", "out=/dev/null/x"), ("out=",)),
    ],
)
def test_mistakes_are_one_line(arguments, words, capfd):
    assert cli.run(["data", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert [word for word in words if word not in line] == []


def test_help_names_the_data_sets(capfd):
    assert cli.run(["data", "--help"]) == 0
    out = capfd.readouterr().out
    assert all(word in out for word in ("camvid", "cityscapes", "partial", "download", '{"splits"'))


def test_an_interrupt_is_one_line(tmp_path):
    root = write_camvid(tmp_path / "camvid", train=1)
    stems = [f"x{i:04d}" for i in range(3000)]
    for folder, suffix in (("train", "jpg"), ("trainannot", "png")):
        for stem in stems:
            (root / folder / f"{stem}.{suffix}").symlink_to(root / folder / f"train_0000.{suffix}")
    (root / "train.txt").write_text("\n".join(stems))
    arguments = ("data", "check", "dataset=camvid", f"dataset.root={root}", "partial=true", "workers=2")
    process = subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and len(children.read_text().split()) < 2:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all processes of the command
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == ["segsweep: interrupted; the same command goes on from what is saved"]


def test_prepare_says_what_it_makes_then_makes_it_once(tmp_path, capfd):
    write_coco(tmp_path / "coco")
    where = ("dataset=coco_voc", f"data_dir={tmp_path}", "workers=0")
    assert cli.run(["data", "check", *where, "format=json"]) == 1
    first, second = json.loads(capfd.readouterr().out)["problems"]
    assert first["repair"] == second["repair"]
    assert cli.run([*shlex.split(first["repair"])[1:], "workers=0"]) == 0
    out = capfd.readouterr().out
    assert "2 of 2 files to make" in out
    assert "is prepared" in out
    assert cli.run(["data", "check", *where]) == 0
    assert capfd.readouterr().out.endswith("no problems\n")
    assert cli.run(["data", "prepare", *where]) == 0
    assert "nothing to make" in capfd.readouterr().out


def test_prepare_says_from_whom_data_sets_are_had(tmp_path, capfd):
    assert cli.run(["data", "prepare", "dataset=cityscapes", f"data_dir={tmp_path}"]) == 0
    out = capfd.readouterr().out
    assert "fetched by hand: www.cityscapes-dataset.com" in out
    assert "nothing to make" in out
