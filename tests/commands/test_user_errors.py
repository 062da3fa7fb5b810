"""A user's mistakes: one line that names the file or the key and the remedy, and no traceback."""

from pathlib import Path

import pytest

from segsweep import cli
from tests.data.writers import write_camvid
from tests.support.commands import TINY, segsweep
from tests.support.composing import member
from tests.support.disks import small_disk


def complaint(capfd, *arguments: str) -> str:
    """What a command that must fail says, in this process."""
    assert cli.run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("segsweep: ")]
    assert len(lines) == 1, err
    return lines[0]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("heed=ksac", ("heed", "did you mean", "head")),
        ("head=ksax", ("head=ksax", "did you mean ksac")),
        ("head.ratez=[6]", ("head.ratez", "did you mean rates")),
        ("lr=1", ("lr", "did you mean optimizer.lr")),
        ("test=[singel]", ("test=singel", "did you mean single")),
        ("optimizer.lr=abc", ("optimizer.lr=abc", "a number", "0.01")),
        ("optimizer.lr='1e-3'", ("optimizer.lr=1e-3", "a number")),
        ("trainer.max_steps=1.5", ("trainer.max_steps=1.5", "whole number")),
        ("head.rates=[6,x]", ("head.rates", "whole numbers")),
        ("head.rates=6", ("head.rates=6", "a list")),
        ("backbone.name=resnet81", ("backbone.name=resnet81", "did you mean", "resnet18")),
        ("size=15", ("size=[15,15]", "16", "use size=")),
        ("size=[1,2,3]", ("size", "[1,2,3]")),
        ("trainer.precision=half", ("trainer.precision=half", "16-mixed")),
        ("trainer.val_every=4", ("trainer.val_every=4", "[2, 3, 6]")),
        ("loss.class_weights=[1,2]", ("loss.class_weights", "2", "expected 6")),
        ("loss.class_weights=[0,0,0,0,0,0]", ("loss.class_weights", "not all zero")),
        ("optimizer.lr=-1", ("optimizer", "-1")),
        ("scheduler.power=-1", ("scheduler.power=-1", "above 0")),
        ("trainer.ema_decay=2", ("trainer.ema_decay=2", "0.999")),
        ("trainer.accumulate_grad_batches=0", ("trainer.accumulate_grad_batches=0", "at least 1")),
        ("test.ms.scales=[1]", ("test.ms.scales", "test=[ms]")),
        ("test.single.scale=[1]", ("test.single.scale", "no such option", "did you mean scales")),
        ("test.ms.scale=[1]", ("test.ms.scale", "no such option", "did you mean scales")),
        ("test.singel.scales=[1]", ("test.singel.scales", "no such test", "did you mean single")),
        ("test.single.scales=[]", ("scales",)),
        ("split=foo", ("split", "foo", "known: test, train, val")),
        ("runs_dir=", ("runs_dir=", "a folder")),
        ("runs_dir=/tmp/lr=1", ("runs_dir=/tmp/lr=1: quote", """'runs_dir="/tmp/lr=1"'""")),
        ("seed=0,1", ("seed=0,1", "add -m")),
        ("seed=99999999999999999999999", ("seed=99999999999999999999999", "64 bits")),
        ("optimiser.lr=1", ("optimiser", "did you mean optimizer")),
        (f"sweep={'a' * 300}", ("sweep=aaa", "at most 200 bytes")),
        ("~head", ("head: every run needs it",)),
        ("+max_steps=3", ("+max_steps", "did you mean trainer.max_steps")),
        ("+checkpoint.evry=3", ("checkpoint.evry", "did you mean every")),
        ("+trainer.limit_val_batches=2", ("trainer.limit_val_batches", "no such option")),
        ("callbacks.mine._target_=a.B", ("no callback of this name", "+callbacks.mine._target_=")),
        ("+trainer.callbacks=x", ("trainer.callbacks", "no such option")),
        ("trainer.gradient_clip_val=abc", ("trainer.gradient_clip_val=abc", "a number")),
        ("trainer.accelerator=gup", ("trainer.accelerator=gup", "did you mean gpu")),
        ("trainer.freeze=encoder", ("trainer.freeze=encoder", "[encoder]")),
        ("checkpoint.minutes=soon", ("checkpoint.minutes=soon", "a number")),
        ("checkpoint.test=worst", ("checkpoint.test=worst", "last or best")),
        ("num_classes=7", ("num_classes", "7", "2 to 6")),
        ("backbone.weights=/nowhere.pt", ("backbone.weights=/nowhere.pt", "No such file")),
        ("dataset=camvid", ("camvid: no such folder", "data_dir", "<split>.txt")),
        ("+experiments=dmo", ("experiments=dmo", "did you mean demo")),
        ("seed", ("seed", "key=value")),
    ],
)
def test_wrong_arguments(argument, words, capfd, tmp_path):
    places = (f"runs_dir={tmp_path}", f"data_dir={tmp_path}")
    line = complaint(capfd, "train", "trainer.max_steps=6", "trainer.accelerator=cpu", *places, argument)
    assert [word for word in words if word not in line] == []
    assert list(tmp_path.glob("*/plan.json")) == [], "nothing is written for what cannot run"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("head.width=0", "head.width=0: expected a number of channels"),
        ("head.rates=[6,x]", "head.rates=[6,x]: expected a list of whole numbers"),
        ("head.fuse=mean", "head.fuse=mean: known: concat, sum"),
        ("head.dropout=1.5", "head.dropout=1.5: expected a probability"),
        ("head.aux=[1,1]", "head.aux=[1,1]: expected a list of different taps"),
        ("head.aux_target=up", "head.aux_target=up"),
        ("head=none head.depth=0", "head.depth=0: expected a number of convolutions"),
        ("head=atonet head.spp=[0]", "head.spp=[0]"),
        ("head=dual_aspp head.fine_rates=[1.5]", "head.fine_rates=[1.5]"),
        ("size=15", "size=[15,15]: a crop must not be smaller"),
        ("size=abc", "size=abc: expected a number of pixels"),
        ("batch_size=0", "batch_size=0: expected a number of images"),
        ("batch_size=3 trainer.accumulate_grad_batches=2", "batch_size=3: does not divide evenly"),
        ("trainer.precision=half", "trainer.precision=half"),
        ("optimizer=adamw optimizer.betas=[1]", "optimizer.betas=[1]: expected two numbers"),
    ],
)
def test_bad_values_are_named_before_anything_is_built(argument, words, capfd, monkeypatch):
    """Torch and its kin take seconds to import, a network and a dataset more to build."""
    monkeypatch.setattr("segsweep.planning.dry_build.check", lambda *_: pytest.fail("built"))
    assert words in complaint(capfd, "train", *argument.split())


def test_own_parts_have_options_of_their_own():
    """What a shipped head takes under a name says nothing about another's."""
    assert member("head._target_=my.Head", "head.width=0").config["head"]["width"] == 0


def test_an_option_of_another_choice_names_who_has_it(capfd, tmp_path):
    assert cli.run(["train", "head=none", "head.rates=[6]", f"runs_dir={tmp_path}"]) == 2
    assert "aspp and ksac have it" in capfd.readouterr().err


def test_batch_of_one_on_a_map_of_one_cell(capfd, tmp_path):
    options = (
        "size=32",
        "backbone.output_stride=32",
        "batch_size=1",
        "trainer.max_steps=6",
        f"runs_dir={tmp_path}",
    )
    line = complaint(capfd, "train", *options)
    assert "1×1" in line
    assert "batch_size" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ("trian", "did you mean train")),
        (["runs", "format=xml"], ("format=xml", "known: csv, json, table")),
        (["runs", "run_dir=x"], ("run_dir", "did you mean runs_dir")),
        (["runs", "show", "abc"], ("no run", "abc")),
        (["runs", "shwo"], ("shwo", "show")),
        (["report", "runs_dir=nowhere"], ("nowhere", "no tested run")),
        (["report", "sweep=x"], ("sweep=x", "no such sweep")),
    ],
)
def test_wrong_commands(arguments, words, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = complaint(capfd, *arguments)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("place", ["/proc/runs", "/dev/null/runs"])
def test_a_folder_that_cannot_be_written(place, capfd):
    line = complaint(capfd, "train", "trainer.max_steps=6", f"runs_dir={place}")
    assert place in line
    assert "runs_dir=" in line


def camvid(tmp_path: Path) -> Path:
    return write_camvid(tmp_path / "camvid", size=(48, 64))


def _no_label(root: Path) -> None:
    next((root / "trainannot").iterdir()).unlink()


def _empty_list(root: Path) -> None:
    (root / "train.txt").write_text("")


def _overlap(root: Path) -> None:
    (root / "val.txt").write_text((root / "train.txt").read_text())
    for kind in ("", "annot"):
        for file in (root / f"train{kind}").iterdir():
            (root / f"val{kind}" / file.name).write_bytes(file.read_bytes())


@pytest.mark.parametrize(
    ("damage", "words"),
    [(_no_label, ("trainannot", ".png")), (_empty_list, ("train", "empty")), (_overlap, ("val",))],
)
def test_a_damaged_data_set_fails_before_training(damage, words, tmp_path):
    root = camvid(tmp_path)
    damage(root)
    options = ("dataset=camvid", f"dataset.root={root}", "size=48", "backbone=mobilenetv3_small")
    result = segsweep(
        "train", *options, "trainer.max_steps=2", "trainer.accelerator=cpu", cwd=tmp_path, status=2
    )
    assert "Traceback" not in result.stderr
    assert [word for word in words if word not in result.stderr] == []
    assert "step 1" not in result.stderr


def test_a_broken_image_is_named_by_worker_and_main_process_alike(tmp_path):
    root = camvid(tmp_path)
    for image in (root / "train").iterdir():
        image.write_bytes(image.read_bytes()[:200])
    options = ("dataset=camvid", f"dataset.root={root}", "size=48", "backbone=mobilenetv3_small")
    for workers in (0, 1):
        result = segsweep(
            "train", *options, "trainer.max_steps=2", "trainer.accelerator=cpu", f"num_workers={workers}",
            cwd=tmp_path, status=2,
        )  # fmt: skip
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("segsweep: ")]
        assert str(root / "train") in line
        assert "Traceback" not in result.stderr
    log = next(tmp_path.glob("runs/*/log.txt")).read_text()
    assert str(root / "train") in log


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path):
    """A real small disk that fills while a checkpoint is written; with space, the run goes on."""
    with small_disk(tmp_path / "disk", "40m") as disk:
        options = (*TINY, "checkpoint.every=1", "test=[single]", f"runs_dir={disk}")
        filler = disk / "filler"
        filler.write_bytes(b"0" * (32 << 20))
        result = segsweep("train", *options, cwd=tmp_path, status=2)
        assert "could not be written" in result.stderr
        assert "the same command again" in result.stderr
        assert list(disk.glob("*/checkpoints/*.tmp")) == []
        filler.unlink()
        segsweep("train", *options, cwd=tmp_path)
