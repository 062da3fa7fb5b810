"""Every head in conf/head, a newcomer's too, over encoders, sizes, output strides and modes."""

from functools import cache

import pytest
import torch

from segsweep.builders import build as build_part
from segsweep.builders import build_segmenter
from segsweep.config.groups import choices, own_options
from segsweep.execution.test import load_network
from segsweep.networks import Encoder, EncoderHead, Segmenter
from segsweep.networks.heads.base import stages
from tests.support.composing import composed, configuration

HEADS = choices("head")
SIZES = [(33, 33), (65, 97), (128, 128)]
CLASSES = 3


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with configuration():
        yield


def configured(head: str, backbone: str, output_stride: int = 16, **options) -> dict:
    """The head with narrow layers and with `options`, as far as it has such."""
    own = own_options("head", head)
    shipped = [f"head.{key}={value}" for key, value in {"width": 8, **options}.items() if key in own]
    overrides = [f"backbone={backbone}", f"backbone.output_stride={output_stride}", f"num_classes={CLASSES}"]
    return composed(f"head={head}", *overrides, *shipped).config


def build(*arguments, **options) -> Segmenter:
    torch.manual_seed(0)
    return build_segmenter(configured(*arguments, **options))


def images(size, batch=2):
    return torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8)


def check_training(network: Segmenter, size, batch=2) -> dict[str, torch.Tensor]:
    """Shapes, and finite gradients for every parameter: one without would stop distributed training.

    Returns the auxiliary maps; logits [B, K] about whole images are no maps.
    """
    network.train().zero_grad()
    logits, auxiliary = network.forward_train(images(size, batch))
    assert logits.shape == (batch, CLASSES, *size)
    sum(maps.square().mean() for maps in (logits, *auxiliary.values())).backward()
    bad = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert bad == []
    return {name: maps for name, maps in auxiliary.items() if maps.dim() == 4}


def check_evaluation(network: Segmenter, size) -> None:
    with torch.no_grad():
        assert network.eval()(images(size, 1)).shape == (1, CLASSES, *size)
        assert isinstance(network.head(network.features(images(size, 1))), torch.Tensor)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "backbone",
    [
        "mobilenetv3_small",
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("mobilenetv2", marks=pytest.mark.slow),
        pytest.param("mobilenetv3_large", marks=pytest.mark.slow),
    ],
)
def test_any_size_gives_logits_of_that_size_and_gradients_everywhere(head, backbone):
    network = build(head, backbone, aux="[1,2,3,4]")
    for size in SIZES:
        auxiliary = check_training(network, size)
        encoder = network.encoder
        tapped = [encoder.reductions[i] for i in stages(encoder.reductions)]
        if "aux" not in own_options("head", head):
            tapped = []
        shapes = {f"aux{n}": tuple(-(-side // r) for side in size) for n, r in enumerate(tapped, start=1)}
        assert {name: maps.shape[-2:] for name, maps in auxiliary.items()} == shapes
        check_evaluation(network, size)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("output_stride", [8, 32])
def test_other_output_strides(head, output_stride):
    """A batch of one, too, where pooled maps have a single value."""
    network = build(head, "resnet18", output_stride)
    assert check_training(network, (33, 47), batch=1) == {}
    check_evaluation(network, (33, 47))


@cache
def large_encoder(backbone: str) -> Encoder:
    with torch.device("meta"):
        return build("none", backbone).encoder


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["xception65", "resnet101"])
def test_large_encoders(head, backbone):
    """Channels and reductions are the encoder's: these go up to 2048."""
    encoder, config = large_encoder(backbone), configured(head, backbone)
    options = {key: value for key, value in config["head"].items() if not key.startswith("aux")}
    shape = {"channels": encoder.channels, "reductions": encoder.reductions, "num_classes": CLASSES}
    with torch.device("meta"):
        network = EncoderHead(encoder, build_part({"head": options}, "head", **shape))
        check_evaluation(network, (33, 65))
        assert network.train().forward_train(images((33, 33)))[0].shape == (2, CLASSES, 33, 33)


@pytest.mark.parametrize("head", HEADS)
def test_branches_change_nothing_of_the_network_that_they_train(head):
    """Same seed, same weights: rows with and without auxiliary losses start alike."""
    plain = build(head, "mobilenetv3_small").state_dict()
    tapped = build(head, "mobilenetv3_small", aux="[2,3]").state_dict()
    assert {key for key in tapped if key not in plain} == {
        key for key in tapped if key.startswith("head.auxiliary.")
    }
    assert all(torch.equal(value, tapped[key]) for key, value in plain.items())


@pytest.mark.parametrize("head", HEADS)
def test_features_up_gives_maps_of_the_images_size(head):
    network = build(head, "mobilenetv3_small", aux="[1,4]", aux_target="features_up")
    auxiliary = check_training(network, (33, 47))
    names = ["aux1", "aux4"] if "aux" in own_options("head", head) else []
    assert {name: maps.shape[-2:] for name, maps in auxiliary.items()} == dict.fromkeys(names, (33, 47))


def test_the_last_expansion_of_mobilenetv3_can_be_left_out():
    network = build_segmenter(
        composed("backbone=mobilenetv3_small", "backbone.last_expansion=false", "head=dual_aspp").config
    )
    assert network.encoder.channels == [16, 16, 24, 48, 96]
    assert network.eval().features(images((64, 64), 1))[-1].shape == (1, 96, 4, 4)


@pytest.mark.parametrize("head", HEADS)
def test_a_checkpoint_with_branches_loads_without_them(head, tmp_path):
    """What was trained with auxiliary losses is tested without: the same logits, nothing else left over."""
    config = configured(head, "mobilenetv3_small", aux="[2,4]", aux_weights="[1,2]")
    trained = build_segmenter(config).eval()
    state = {f"segmenter.{name}": value for name, value in trained.state_dict().items()}
    torch.save({"state_dict": {**state, "loss.class_weights": torch.ones(1)}}, tmp_path / "last.ckpt")
    loaded = load_network(config, tmp_path / "last.ckpt", None).eval()
    assert not any("auxiliary" in name for name, _ in loaded.named_parameters())
    image = images((33, 47), 1)
    assert torch.equal(loaded(image), trained(image))
