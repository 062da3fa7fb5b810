"""Every head of conf/head, exported: the figures of docs/export.md, which `-s` prints."""

from itertools import product

import pytest
import torch

from segsweep.builders import build_segmenter
from segsweep.config.groups import choices
from segsweep.inference.forms import agreement, onnx
from segsweep.inference.forms.recording import prepared, recorded
from tests.support.composing import composed, configuration

SIZES = [(64, 64), (65, 97), (360, 480)]
BATCHES = [1, 3]
CLASSES = 5


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with configuration():
        yield


def network_of(head, backbone, *overrides):
    """Fresh weights with the statistics of a few images, so that its classes differ from place to place."""
    torch.manual_seed(0)
    config = composed(f"head={head}", f"backbone={backbone}", f"num_classes={CLASSES}", *overrides).config
    network = build_segmenter(config, load_weights=False, auxiliary=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    for images in torch.randint(0, 256, (2, 2, 3, 128, 160)).float():
        with torch.no_grad():
            network.train()(images)
    return prepared(network, "inside")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenetv2", "resnet18"])
@pytest.mark.parametrize("head", choices("head"))
def test_a_head_is_the_same_in_onnx_and_torch_export(head, backbone, tmp_path, monkeypatch):
    check(network_of(head, backbone), f"{head} | {backbone}", tmp_path, monkeypatch)


@pytest.mark.slow
def test_so_is_an_encoder_on_an_image_pyramid(tmp_path, monkeypatch):
    network = network_of("swiftnet", "mobilenetv2", "backbone.pyramid=2", "head.bins=[]")
    check(network, "swiftnet | mobilenetv2, pyramid", tmp_path, monkeypatch)


def check(network, name, tmp_path, monkeypatch):
    program = recorded(network)
    monkeypatch.setattr(onnx, "recorded", lambda network: program)  # once for both
    onnx.Onnx().save(network, tmp_path / "net.onnx", {})
    _, runs = onnx.Onnx().open(tmp_path / "net.onnx", torch.device("cpu"))
    for form, exported in (("onnx", runs), ("torch_export", program.module())):
        differences, shares, largest = [], [], 0.0
        for size, batch in product(SIZES, BATCHES):
            images = torch.randint(0, 256, (batch, 3, *size)).float()
            with torch.inference_mode():
                expected, found = network(images), exported(images)
            assert found.shape == (batch, CLASSES, *size)
            differences.append((expected - found).abs().max().item())
            shares.append((expected.argmax(1) == found.argmax(1)).double().mean().item())
            largest = max(largest, expected.abs().max().item())
        print(f"\n| {name} | {form} | {largest:.1f} | {max(differences):.1e} | {min(shares):.4%} |")
        assert max(differences) <= agreement.DIFFERENCE * max(1, largest)
        assert min(shares) >= agreement.EQUAL
