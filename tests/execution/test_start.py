"""What a run's weights begin with: the first that is there of an order, written and said."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segsweep import builders
from segsweep.errors import UserError
from segsweep.execution.start import start
from segsweep.networks import Encoder
from segsweep.runs.folder import RunFolder
from tests.support.inside import checkpoint, different, fresh_weights, planned, run, weights

SHORT = ("trainer.max_steps=1", "trainer.val_every=1")


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """A folder with a run that is done."""
    folder = tmp_path_factory.mktemp("start") / "runs"
    run(planned(*SHORT, f"runs_dir={folder}"))
    return folder


@pytest.fixture(scope="module")
def source(runs_dir) -> RunFolder:
    (plan,) = runs_dir.glob("*/plan.json")
    return RunFolder(plan.parent)


@pytest.fixture
def place(source, tmp_path):
    """A copy of that folder for the runs of one test."""
    shutil.copytree(source.path, tmp_path / "runs" / source.id)
    return f"runs_dir={tmp_path / 'runs'}"


def save(file: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def begun(folder: RunFolder) -> tuple[dict[str, torch.Tensor], str]:
    """The weights that the run would begin with, and what it calls them."""
    config = folder.config()
    network = builders.build_task(config).segmenter
    _, origin = start(folder, config, network)
    return dict(network.state_dict()), origin


def test_from_nothing(source):
    assert source.status().origin == "random weights"
    assert "starting from random weights" in source.log.read_text()


def test_from_weights_of_the_encoder(tmp_path, place):
    """ImageNet's, as `backbone.weights` names a file of them."""
    encoder = builders.build_segmenter(planned(place, *SHORT).config()).encoder
    torch.save(encoder.body.state_dict(), tmp_path / "imagenet.pt")
    folder = planned(place, *SHORT, "seed=1", f"backbone.weights={tmp_path / 'imagenet.pt'}")
    taken, origin = begun(folder)
    assert origin == "ImageNet weights"
    inner = {f"encoder.body.{key}": value for key, value in encoder.body.state_dict().items()}
    assert different({key: taken[key] for key in inner}, inner) == []


@pytest.mark.parametrize("kind", ["run", "file", "state dict", "safetensors"])
def test_from_init(place, source, tmp_path, kind):
    named = {"run": source.id, "file": source.checkpoints / "last.ckpt", "state dict": tmp_path / "net.pt"}
    torch.save(weights(source), tmp_path / "net.pt")
    named["safetensors"] = save(tmp_path / "net.safetensors", weights(source))
    folder = planned(place, *SHORT, "seed=1", f"init={named[kind]}")
    taken, origin = begun(folder)
    assert different(taken, weights(source)) == []
    assert different(taken, fresh_weights(folder)), "it is not what the seed would have given"
    assert origin == f"init {named[kind]}"
    run(folder)
    assert folder.status().origin == origin
    assert f"starting from {origin}" in folder.log.read_text()


def test_init_comes_before_imagenet_and_its_own_checkpoint_before_init(place, source):
    folder = planned(place, *SHORT, "seed=2", f"init={source.id}")
    run(folder)
    config = folder.config()
    task = builders.build_task(config)
    resume, origin = start(folder, config, task.segmenter)
    assert (resume, origin) == (folder.checkpoints / "last.ckpt", "own checkpoint last.ckpt")


def test_a_parent_comes_before_init(place, source):
    """A later stage whose command names `init`: that is what the first stage began with."""
    folder = planned(place, *SHORT, "seed=3", f"init={source.id}")
    parent = planned(place, *SHORT, "seed=4")
    run(parent)
    folder.plan = folder.plan.changed(parent=parent.id)
    taken, origin = begun(folder)
    assert origin == f"parent {parent.id}"
    assert different(taken, weights(parent)) == []


def test_a_parent_that_is_not_done_is_no_start(place):
    """One that failed has a checkpoint too, from before its end."""
    parent = planned(place, "seed=4")
    folder = planned(place, *SHORT, "seed=3")
    folder.plan = folder.plan.changed(parent=parent.id)
    parent.update_status(state="failed")
    with pytest.raises(UserError, match=f"its parent {parent.id} is failed, not done"):
        begun(folder)


def test_other_classes_make_the_classifier_anew_and_say_so(place, source):
    folder = planned(place, *SHORT, "num_classes=4", f"init={source.id}")
    taken, origin = begun(folder)
    anew = {"head.classifier.1.weight", "head.classifier.1.bias"}
    assert origin == f"init {source.id} (new for its classes: head.classifier.1)"
    kept = {key: value for key, value in taken.items() if key not in anew}
    last = weights(source)
    assert different(kept, {key: last[key] for key in kept}) == []
    fresh = fresh_weights(folder)
    assert all(torch.equal(taken[key], fresh[key]) for key in anew)


def test_a_run_counts_by_its_id_and_a_file_by_its_content(place, source, tmp_path):
    last = source.checkpoints / "last.ckpt"
    shutil.copy(last, tmp_path / "copy.ckpt")
    other = {**checkpoint(source), "epoch": 5}
    torch.save(other, tmp_path / "other.ckpt")
    ids = {
        name: planned(place, *SHORT, *said).id
        for name, said in {
            "none": (),
            "run": (f"init={source.id}",),
            "prefix": (f"init={source.id[:7]}",),
            "file": (f"init={last}",),
            "copy": (f"init={tmp_path / 'copy.ckpt'}",),
            "other": (f"init={tmp_path / 'other.ckpt'}",),
        }.items()
    }
    assert ids["run"] == ids["prefix"]
    assert ids["file"] == ids["copy"]
    assert len({ids["none"], ids["run"], ids["file"], ids["other"]}) == 4


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("init=/nowhere.ckpt",), ("/nowhere.ckpt", "No such file", "init")),
        (("init=abcdef",), ("no run", "abcdef", "segsweep runs")),
        (("init={id}", "head=aspp"), ("another network", "same network")),
        (("init={id}", "backbone=resnet18"), ("another network",)),
        (("init={path}",), ("init=", "no_checkpoint.pt: not readable as weights")),
        (("init={encoder}",), ("another network", "backbone.weights=FILE")),
        (("backbone.weights={other}",), ("backbone.weights=", "not the weights of mobilenetv3_small_100")),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_planned(place, source, tmp_path, overrides, words):
    path = tmp_path / "no_checkpoint.pt"
    path.write_bytes(b"no checkpoint")
    encoder = save(tmp_path / "encoder.safetensors", Encoder("mobilenetv3_small_100").body.state_dict())
    other = save(tmp_path / "other.safetensors", {"features.0.weight": torch.zeros(3, 3)})
    before = sorted((tmp_path / "runs").iterdir())
    names = {"id": source.id, "path": path, "encoder": encoder, "other": other}
    with pytest.raises(UserError) as error:
        planned(place, *SHORT, *(o.format(**names) for o in overrides))
    assert [word for word in words if word not in str(error.value)] == []
    assert sorted((tmp_path / "runs").iterdir()) == before


def test_a_run_that_is_not_done_cannot_be_begun_from(place):
    waiting = planned(place, "seed=9")
    with pytest.raises(UserError, match=f"run {waiting.id} is planned, not done; finish it first"):
        planned(place, *SHORT, f"init={waiting.id}")
