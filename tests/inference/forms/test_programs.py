"""Exported files: they compute what torch computes, say what they are, and are not written if they do not."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from segsweep import builders
from segsweep.commands import export, test_file
from segsweep.commands import test as measuring
from segsweep.errors import ConfigError, DamagedFileError, OptionError, UserError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.protocol import read_test
from segsweep.inference.description import Description
from segsweep.inference.forms import agreement
from segsweep.inference.forms.exported import Exported
from segsweep.inference.forms.known_forms import by_name
from segsweep.inference.forms.recording import Program, recorded
from segsweep.inference.load import load
from segsweep.inference.trained import Trained
from segsweep.networks import EncoderHead
from segsweep.runs.contents import StrategyCard

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "torchscript": ".ts"}


@pytest.fixture(scope="session")
def files(trained_run, tmp_path_factory):
    """The run in three forms, one of which takes normalised images; read them only."""
    folder = tmp_path_factory.mktemp("files")
    for name, suffix in SUFFIXES.items():
        preprocessing = "described" if name == "torchscript" else "inside"
        target = folder / f"net{suffix}"
        words = [f"format={name}", f"preprocessing={preprocessing}", f"out={target}"]
        assert export.main([str(trained_run.path), *words]) == 0
    return {name: folder / f"net{suffix}" for name, suffix in SUFFIXES.items()}


@pytest.fixture(scope="session")
def exported(files):
    """The files, loaded."""
    return {name: load(file, "cpu") for name, file in files.items()}


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_file_predicts_as_its_run(trained_run, network, exported, form):
    loaded = exported[form]
    assert loaded.description == network.description
    for sample in builders.build_dataset(trained_run.config()).split("test"):
        for strategy in ("single", "flip"):
            mine, other = (
                one.predict(sample.image, strategy, probabilities=True) for one in (network, loaded)
            )
            assert np.allclose(mine.probabilities, other.probabilities, atol=1e-5)
            assert (mine.labels == other.labels).mean() > 0.999


@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 65, 97), (2, 3, 40, 129)])
def test_a_file_takes_any_number_and_size(network, exported, form, shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    with torch.inference_mode():
        expected, found = network.network(images), exported[form].network(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_onnx_runtime_needs_nothing_of_segsweep(network, files):
    session = onnxruntime.InferenceSession(files["onnx"])
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape) == ("image", ["batch", 3, "height", "width"])
    assert (logits.name, logits.shape) == ("logits", ["batch", 4, "height", "width"])
    held = session.get_modelmeta().custom_metadata_map
    assert Description.from_json(held["description"], "net.onnx") == network.description
    said = json.loads(held["interface"])
    assert (said["preprocessing"], tuple(said["mean"])) == ("inside", network.description.mean)
    pixels = torch.randint(0, 256, (1, 3, 50, 70)).float()
    (found,) = session.run(None, {"image": pixels.numpy()})
    with torch.inference_mode():
        expected = network.network(pixels).numpy()
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
def test_torch_needs_nothing_of_segsweep(network, files):
    """Of the trace, which takes normalised images: by the figures in its metadata."""
    held = {"interface": ""}
    script = torch.jit.load(files["torchscript"], _extra_files=held)
    said = json.loads(held["interface"])
    assert said["preprocessing"] == "described"
    mean, std = (torch.tensor(said[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    pixels = torch.randint(0, 256, (3, 3, 50, 70)).float()
    with torch.inference_mode():
        found = script((pixels - mean) / std)
        torch.testing.assert_close(found, network.network(pixels), rtol=0, atol=1e-4)


@pytest.mark.parametrize("form", SUFFIXES)
def test_another_output_stride_is_refused_in_a_line(exported, form):
    with pytest.raises(OptionError, match=rf"output_stride=8: net{SUFFIXES[form]} holds the network at 16"):
        exported[form].network_at(8)


def test_a_file_is_measured_as_its_run(trained_run, files, tmp_path, capsys):
    said = ["dataset.test_images=6", "trainer.accelerator=cpu", f"out={tmp_path}"]
    assert measuring.main([str(files["torchscript"]), *said]) == 0
    assert capsys.readouterr().out.count("+0.0000") == 2
    for name in ("single", "flip"):
        found, own = read_test(tmp_path / name), trained_run.read_tests()[name]
        assert found.metrics.miou == pytest.approx(own[0].miou, abs=1e-4)
        assert found.card.exported == "torchscript"
        assert found.card.checkpoint.sha256 != own[1].checkpoint.sha256
        assert found.card.split_hash == own[1].split_hash
        assert found.counts.ids == Counts.load(trained_run.tests / name).ids


def described_with(network: Trained, **card) -> Description:
    """The network's description, if its run had one test, with this card of its strategy."""
    test = network.description.tests["single"]
    protocol = test.protocol.changed(strategy=StrategyCard.of(card))
    return network.description.changed(tests={card["name"]: test.changed(protocol=protocol)})


def test_options_of_the_runs_tests_are_carried(network):
    settings = {"scales": [0.5, 1.0], "flip": True, "window": None, "stride": None, "output_stride": None}
    described = described_with(network, name="ms0.5+1_flip", **settings)
    config = test_file.configuration(described, [])
    assert test_file.with_tests_of_run(config, described).test == {
        "ms0.5+1_flip": {"_target_": "segsweep.evaluation.strategies.Strategy", **settings}
    }
    on_val = config.changed(split="val")  # where its run was not tested
    assert list(test_file.with_tests_of_run(on_val, described).test) == ["single"]
    strange = described_with(network, name="tiled", tiles=3)
    with pytest.raises(ConfigError, match=r"of one's own \(tiled\).*as test=\[single\]"):
        test_file.with_tests_of_run(config, strange)


def test_a_test_of_the_same_file_is_not_repeated(files, tmp_path):
    words = [str(files["torchscript"]), "dataset.test_images=2", f"out={tmp_path}"]
    for _ in range(2):
        assert measuring.main([*words, "test=[single]"]) == 0
        made = (tmp_path / "single").stat().st_ctime_ns
    assert measuring.main([*words, "test=[single,flip]"]) == 0
    assert (tmp_path / "single").stat().st_ctime_ns == made
    assert (tmp_path / "flip").is_dir()


def test_a_dataset_of_other_classes_is_refused(files, tmp_path):
    with pytest.raises(UserError, match="num_classes=4"):
        measuring.main([str(files["torchscript"]), "dataset=camvid", f"out={tmp_path}"])


class OfOneSize(EncoderHead):
    """Remembers the width of the image that it was recorded with."""

    def logits(self, image):
        return super().logits(image) + int(image.shape[-1]) / 1000


@pytest.fixture
def of_one_size(network):
    changed = OfOneSize(network.network.encoder, network.network.head)
    return Trained(network.description, lambda stride: changed, torch.device("cpu"))


def test_a_file_that_computes_something_else_is_not_written(of_one_size, tmp_path):
    target = tmp_path / "net.ts"
    with pytest.raises(UserError, match=r"format=torchscript: .* on images of 1×360×480: logits differ by 3"):
        by_name()["torchscript"].write(of_one_size, target)
    assert list(tmp_path.iterdir()) == []


class OfOneWidth(torch.nn.Module):
    def forward(self, image):
        return image * int(image.shape[-1])


def test_what_torch_cannot_record_for_every_size_is_refused():
    with pytest.raises(UserError, match="cannot record this network for images of any size") as caught:
        recorded(Program(OfOneWidth()))
    assert "\n" not in str(caught.value)


def test_labels_are_compared_too(network):
    """Small logits may differ by less than the limit in value, and yet say other classes."""
    exact = network.network

    class Faint(torch.nn.Module):
        stride = 32

        def __init__(self, sign):
            super().__init__()
            self.sign = sign

        def forward(self, images):
            return 1e-6 * self.sign * exact(images)

    with pytest.raises(UserError, match="labels are equal for"):
        agreement.check(Faint(1), Faint(-1), [], "onnx")


def test_a_file_that_does_not_take_every_size_is_refused(network, exported):
    def of_one_width(images):
        if images.shape[-1] != 48:
            raise AssertionError("Guard failed: image.size()[3] == 48\nand more")
        return network.network(images)

    one = Exported(of_one_width, exported["onnx"].network.interface, Path("net.pt2"))
    with pytest.raises(
        UserError, match=r"of 3×64×64: it does not take them \(Guard failed: [^)]*\)\[3\] == 48\)"
    ):
        agreement.check(network.network, one.computed, network.images(), "torch_export")


def test_real_images_are_compared_at_their_own_size(trained_run, network):
    found = agreement.check(network.network, network.network, network.images(), "onnx")
    assert found.are_real
    assert found.shapes == ((1, 48, 48), (1, 48, 48), (3, 64, 64), (1, 65, 97), (3, 131, 70))
    assert (found.difference, found.equal) == (0, 1)


def test_an_exported_file_is_not_exported_again(files, tmp_path):
    with pytest.raises(UserError, match="which an exported file has no more; export the run"):
        export.main([str(files["torchscript"]), "format=torchscript", f"out={tmp_path / 'x.ts'}"])


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(trained_run, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=rf"package {package} is not installed: pip install 'segsweep\[onnx\]'"
    ):
        export.main([str(trained_run.path), f"out={tmp_path / 'x.onnx'}"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_code_is_the_same_and_runs_only_if_trusted(trained_run, network, tmp_path):
    target = tmp_path / "net.pt2"
    assert export.main([str(trained_run.path), "format=aoti", f"out={target}"]) == 0
    with pytest.raises(UserError, match=r"net.pt2: holds machine code \(aoti\).*add trust=true"):
        load(target, "cpu")
    loaded = load(target, "cpu", trust=True)
    assert loaded.description == network.description
    for shape in [(1, 3, 64, 64), (3, 3, 65, 97)]:
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        with torch.inference_mode():
            expected, found = network.network(images), loaded.network(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_without_a_compiler_there_is_no_aoti(trained_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"no C\+\+ compiler \(g\+\+\) is installed here"):
        export.main([str(trained_run.path), "format=aoti", f"out={tmp_path / 'x.pt2'}"])


@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_a_damaged_file_is_named(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"no network" * 100)
    with pytest.raises(DamagedFileError, match=f"net{suffix}: cannot be read"):
        load(path, "cpu")


def test_a_program_of_somebody_elses_is_named(tmp_path):
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(DamagedFileError, match="so segsweep export has not written it"):
        load(tmp_path / "net.pt2", "cpu")


def test_an_image_too_small_for_a_recorded_program_is_an_error_in_a_line(exported):
    image = Image.new("RGB", (2, 3))
    with pytest.raises(UserError, match=r"net.pt2: cannot compute an image of 3×2"):
        exported["torch_export"].predict(image)


def test_hub_folders_have_no_choice_of_preprocessing(trained_run, tmp_path):
    with pytest.raises(OptionError, match="preprocessing=described: a hub folder holds the network"):
        export.main([str(trained_run.path), "format=hub", "preprocessing=described", f"out={tmp_path / 'x'}"])
    with pytest.raises(OptionError, match="preprocessing=outside"):
        export.main([str(trained_run.path), "preprocessing=outside", f"out={tmp_path / 'x.onnx'}"])
