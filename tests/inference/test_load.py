"""Networks loaded from runs: they predict what the test pass predicted, and say what they are."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segsweep import builders
from segsweep.data.sets.shapes import Shapes
from segsweep.data.sets.shapes_draw import CLASSES
from segsweep.errors import DamagedFileError, DataError, UserError
from segsweep.inference.description import Description
from segsweep.inference.load import load
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.runs.folder import RunFolder
from tests.support.inside import checkpoint, different, planned, weights


def trained_weights(run: RunFolder, name: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in weights(run, name).items() if not k.startswith("head.auxiliary.")}


def samples(run: RunFolder):
    return builders.build_dataset(run.config()).split("test")


@pytest.mark.parametrize("test", ["single", "flip"])
def test_it_predicts_what_the_test_pass_kept(trained_run, network, test):
    for sample in samples(trained_run):
        kept = np.array(Image.open(trained_run.path / "predictions" / test / f"{sample.id}.png"))
        assert np.array_equal(network.predict(sample.image, test).labels, kept)


def test_probabilities_are_those_of_the_network(trained_run, network):
    image = samples(trained_run)[0].image
    batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        straight = network.network(batch).softmax(1)
        mirrored = network.network(batch.flip(-1)).flip(-1).softmax(1)
    for test, expected in (("single", straight), ("flip", (straight + mirrored) / 2)):
        found = network.predict(image, test, probabilities=True)
        assert np.allclose(found.probabilities, expected[0].numpy(), atol=1e-5)
        assert np.array_equal(found.labels, found.probabilities.argmax(0))
    assert network.predict(image).probabilities is None


def test_every_kind_of_image_is_the_same_image(trained_run, network, tmp_path):
    image = samples(trained_run)[1].image
    Image.fromarray(image).save(tmp_path / "one.png")
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    expected = network.predict(image).labels
    for other in (
        tmp_path / "one.png",
        str(tmp_path / "one.png"),
        Image.fromarray(image),
        tensor,
        tensor[None],
    ):
        assert np.array_equal(network.predict(other).labels, expected)


WRONG_IMAGES = {
    "float32 [4, 4, 3]: expected": lambda: np.zeros((4, 4, 3), np.float32),
    "uint8 [4, 4]: expected": lambda: np.zeros((4, 4), np.uint8),
    "float32 [3, 4, 4]: expected": lambda: torch.zeros(3, 4, 4),
    "image=list: expected": lambda: [1, 2],
    "mode I;16: expected 8 bits": lambda: Image.fromarray(np.zeros((4, 4), np.uint16)),
    "nothing.png: no such file": lambda: "nothing.png",
}


@pytest.mark.parametrize("line", WRONG_IMAGES)
def test_what_is_no_image_is_an_error_of_one_line(network, line):
    with pytest.raises(UserError) as error:
        network.predict(WRONG_IMAGES[line]())
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_picture_has_the_datasets_colours(trained_run, network):
    found = network.predict(samples(trained_run)[0].image)
    picture = found.picture()
    assert np.array_equal(np.array(picture), found.labels)
    colours = np.array(network.description.palette)[found.labels]
    assert np.array_equal(np.array(picture.convert("RGB")), colours)
    blended = found.image * 0.75 + colours * 0.25
    assert np.abs(np.array(found.overlay(0.25)) - blended).max() <= 1
    share = {name: (found.labels == index).mean() for index, name in enumerate(CLASSES[:4])}
    assert found.shares() == pytest.approx(share)


def test_a_run_is_found_by_its_id_as_by_its_folder(trained_run, monkeypatch):
    runs = trained_run.path.parent
    assert load(trained_run.id[:6], runs_dir=runs).description.run == trained_run.id
    monkeypatch.setenv("SEGSWEEP_RUNS", str(runs))
    assert repr(load(trained_run.id, "cpu")) == (
        f"Trained(ksac-mobilenetv3_small-shapes, run {trained_run.id}, 4 classes, on cpu)"
    )


def test_the_description_says_what_the_run_says(trained_run, network):
    what = network.description
    state = checkpoint(trained_run)["state_dict"]
    assert what.classes == CLASSES[:4]
    assert (what.num_classes, what.size, what.seed, what.dataset) == (4, (48, 48), 0, "shapes")
    assert np.allclose(what.mean, state["segmenter.mean"].flatten())
    assert np.allclose(what.std, state["segmenter.std"].flatten())
    assert (what.weights.checkpoint, what.weights.step, what.weights.initial) == ("last", 8, "random")
    kept = json.loads((trained_run.tests / "flip" / "metrics.json").read_text())
    card = json.loads((trained_run.tests / "flip" / "protocol.json").read_text())
    assert what.tests["flip"].metrics.plain() == kept
    assert what.tests["flip"].protocol.plain() == card
    assert "head.rates=[1,2]" in what.overrides
    assert str(trained_run.path.parent) not in what.to_json()
    assert card["checkpoint"]["sha256"] == what.weights.sha256


@pytest.mark.parametrize("run", ["trained_run", "grouped_run"])
def test_intervals_are_those_of_the_report(request, run):
    folder = request.getfixturevalue(run)
    (row,) = findings([folder], Wish()).rows
    for name, test in load(folder.path, "cpu").description.tests.items():
        miou, groups = row.cells[name].miou, row.cells[name].groups
        assert (test.metrics.miou, test.low, test.high) == (miou.value, miou.low, miou.high)
        assert bool(groups) == bool(test.groups) == (run == "grouped_run")
        if groups and test.groups:
            found = (test.groups.drawn, test.groups.low, test.groups.high)
            assert found == (groups.unit, groups.low, groups.high)
            assert (test.groups.noun, test.groups.caveat) == ("drives", "conditional on these 2 drives")


def test_a_description_survives_its_json(network):
    again = Description.from_json(network.description.to_json(), "config.json")
    assert again == network.description
    assert again.to_json() == network.description.to_json()
    with pytest.raises(DamagedFileError, match=r"config\.json: has no whole description .*\(no choices\)"):
        Description.from_json('{"run": "x"}', "config.json")


def test_a_network_outlives_its_dataset(trained_run, monkeypatch):
    def gone(*_):
        raise DataError("data", "no such folder")

    monkeypatch.setattr(builders, "build_dataset", gone)
    what = load(trained_run.path, "cpu").description
    assert (what.classes, what.palette) == (CLASSES[:4], Shapes.palette[:4])
    monkeypatch.setattr(builders, "find", lambda *_: None)  # a class that finds what it holds, or is gone too
    what = load(trained_run.path, "cpu").description
    assert (what.classes, what.dataset) == (CLASSES[:4], "shapes")
    assert what.palette == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)), "VOC's colours"


def test_the_best_weights_are_loaded_if_asked_for(trained_run):
    best = load(trained_run.path, "cpu", checkpoint="best")
    assert best.description.weights.rule.startswith("the weights with the highest validation mIoU")
    assert best.description.tests == {}, "the tests are of the last ones"
    assert not different(dict(best.network.state_dict()), trained_weights(trained_run, "best.ckpt"))


def test_an_untrained_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is planned, not done"):
        load(planned(f"runs_dir={tmp_path}").path)


@pytest.mark.parametrize(
    ("path", "options", "line"),
    [
        ("no/such", {}, "no/such: no such file or folder; segsweep runs lists the runs"),
        ("net.onnx", {}, "net.onnx: no such file or folder"),
        ("abc", {}, "no run in runs with an id beginning 'abc'"),
        (".", {}, ".: holds no trained network; expected a run's folder"),
        ("RUN", {"checkpoint": "first"}, "checkpoint=first: expected last or best"),
        (".", {"device": "tpu"}, "device=tpu: expected cpu, cuda or cuda:N"),
        (".", {"device": "cuda:99"}, "device=cuda:99: there is no such GPU"),
    ],
)
def test_what_is_not_there_is_an_error_of_one_line(trained_run, tmp_path, monkeypatch, path, options, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSWEEP_RUNS", raising=False)
    with pytest.raises(UserError) as error:
        load(path.replace("RUN", str(trained_run.path)), **options)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_an_unknown_strategy_has_near_names(trained_run, network):
    with pytest.raises(UserError, match="test=flop: no such test strategy; did you mean flip"):
        network.predict(samples(trained_run)[0].image, "flop")


def test_windows_of_slide_are_the_training_crop(trained_run, network):
    image = np.tile(samples(trained_run)[0].image, (2, 2, 1))
    found = network.predict(image, "slide", probabilities=True)
    window = network.predict(image[:48, :48], probabilities=True)
    assert np.allclose(found.probabilities[:, :10, :10], window.probabilities[:, :10, :10], atol=1e-5)


def test_somebody_elses_class_is_built_only_if_trusted(trained_run, tmp_path, monkeypatch):
    received = tmp_path / "runs" / trained_run.id
    shutil.copytree(trained_run.path, received)
    config = yaml.safe_load((received / "config.yaml").read_text())
    theirs = config["head"]["_target_"].replace("segsweep.networks.heads.ksac", "theirs")
    config["head"]["_target_"] = theirs
    (received / "config.yaml").write_text(yaml.safe_dump(config))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs.py").write_text(
        f"from segsweep.networks.heads.ksac import Ksac\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n"
    )
    monkeypatch.syspath_prepend(elsewhere)
    with pytest.raises(UserError, match=r"head\._target_=theirs\.Ksac is neither segsweep's nor"):
        load(received, "cpu")
    assert not (tmp_path / "ran").exists()
    assert load(received, "cpu", trust=True).description.run == trained_run.id
    assert (tmp_path / "ran").exists()
