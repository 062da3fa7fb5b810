"""What an exported file takes and gives, as it was asked for: uint8 pixels, labels, images of any size."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from segsweep.commands import export
from segsweep.commands import test as measuring
from segsweep.data.sets.shapes_draw import CLASSES
from segsweep.errors import OptionError, UserError
from segsweep.inference.forms import agreement
from segsweep.inference.forms.recording import Program, recorded
from segsweep.inference.load import load
from segsweep.networks.whole.whole_network import WholeNetwork


@pytest.fixture(scope="module")
def labels_file(trained_run, tmp_path_factory):
    """The run as an ONNX file that takes images as they are decoded, and gives labels."""
    target = tmp_path_factory.mktemp("labels") / "net.onnx"
    assert export.main([str(trained_run.path), "input=uint8", "output=labels", f"out={target}"]) == 0
    return target


@pytest.fixture(scope="module")
def pixels_file(trained_run, tmp_path_factory):
    """The run as a trace that takes images as they are decoded, and gives logits."""
    target = tmp_path_factory.mktemp("pixels") / "net.ts"
    words = ["format=torchscript", "input=uint8", f"out={target}"]
    assert export.main([str(trained_run.path), *words]) == 0
    return target


@pytest.mark.parametrize("shape", [(1, 3, 48, 48), (3, 3, 65, 97)])
def test_a_file_gives_labels_of_decoded_images(network, labels_file, shape):
    session = onnxruntime.InferenceSession(labels_file)
    (image,), (labels,) = session.get_inputs(), session.get_outputs()
    assert (image.type, image.shape) == ("tensor(uint8)", ["batch", 3, "height", "width"])
    assert (labels.name, labels.type) == ("labels", "tensor(uint8)")
    assert labels.shape == ["batch", "height", "width"]
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    (found,) = session.run(None, {"image": pixels.numpy()})
    with torch.inference_mode():
        expected = network.network(pixels).argmax(1).numpy()
    assert found.dtype == np.uint8
    assert found.max() < len(CLASSES)
    assert (found == expected).mean() > 0.999
    said = json.loads(session.get_modelmeta().custom_metadata_map["interface"])
    assert (said["pixels"], said["gives"]) == ("uint8", "labels")


@pytest.mark.parametrize("use", [lambda file: load(file), lambda file: measuring.main([str(file)])])
def test_labels_are_refused_where_logits_are_needed(labels_file, use):
    with pytest.raises(UserError, match=r"net.onnx: gives labels \(output=labels\), .* with output=logits"):
        use(labels_file)


def test_a_file_of_decoded_images_predicts_as_its_run(trained_run, network, pixels_file):
    loaded = load(pixels_file, "cpu")
    for image in network.images():
        mine, other = (one.predict(image, "flip", probabilities=True) for one in (network, loaded))
        assert np.allclose(mine.probabilities, other.probabilities, atol=1e-5)
    with pytest.raises(UserError, match=r"net.ts: takes whole pixel values \(input=uint8\), and a scaled"):
        loaded.predict(image, "ms")


def test_wrong_labels_are_not_written(network):
    exact = network.network
    with pytest.raises(UserError, match=r"format=onnx: .*labels are equal for \d"):
        agreement.check(exact, lambda images: (exact(images).argmax(1) + 1).to(torch.uint8), [], "onnx")
    assert (
        agreement.check(exact, lambda images: exact(images).argmax(1).to(torch.uint8), [], "onnx").equal == 1
    )


def test_options_that_do_not_go_together_are_refused(trained_run):
    run = str(trained_run.path)
    with pytest.raises(OptionError, match="input=uint8: normalised pixels are no whole numbers; use prepro"):
        export.main([run, "input=uint8", "preprocessing=described"])
    with pytest.raises(OptionError, match="output=labels: a hub folder holds the network itself"):
        export.main([run, "format=hub", "output=labels"])
    with pytest.raises(OptionError, match="output=label: did you mean labels"):
        export.main([run, "output=label"])


class Padded(WholeNetwork):
    """Joins a strided convolution with a pooled map, which have equal sides only for a multiple of 8."""

    stride = multiple = 8

    def __init__(self) -> None:
        super().__init__(4)
        self.down = nn.ModuleList(nn.Conv2d(3, 3, 3, 2, 1) for _ in range(3))
        self.up = nn.ConvTranspose2d(6, 4, 8, 8)

    def maps(self, x):
        pooled = nn.functional.max_pool2d(x, 8)
        for conv in self.down:
            x = conv(x)
        return self.up(torch.cat([x, pooled], dim=1))


def test_a_network_that_pads_is_recorded_for_any_size():
    torch.manual_seed(0)
    network = Padded().eval()
    program = recorded(Program(network)).module()
    for shape in [(1, 3, 64, 64), (3, 3, 65, 97), (2, 3, 24, 131)]:
        images = torch.randint(0, 256, shape).float()
        with torch.inference_mode():
            torch.testing.assert_close(program(images), network(images), rtol=0, atol=1e-5)
