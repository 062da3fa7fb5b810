"""Every head on a plain vision transformer and on Swin: it works at any size, or says which map it misses."""

import re

import pytest
import torch

from segsweep.builders import build_segmenter
from segsweep.errors import ConfigError
from segsweep.networks import Segmenter
from tests.networks.test_every_head import CLASSES, HEADS, SIZES, check_evaluation, check_training
from tests.support.composing import composed, configuration

VIT = ("embed_dim=24", "depth=3", "num_heads=2")
SWIN = ("embed_dim=16", "depths=[1,1,1,1]", "num_heads=[1,2,2,4]")


@pytest.fixture(scope="module", autouse=True)
def hydra():
    with configuration():
        yield


def build(head: str, name: str, output_stride: int, options=(), *more: str) -> Segmenter:
    torch.manual_seed(0)
    backbone = [f"backbone.name={name}", f"backbone.output_stride={output_stride}"]
    overrides = [*backbone, *(f"+backbone.options.{option}" for option in options), *more]
    return build_segmenter(
        composed(f"head={head}", "head.width=8", f"num_classes={CLASSES}", *overrides).config
    )


def check(network: Segmenter) -> None:
    check_training(network, SIZES[1])
    for size in SIZES[::2]:
        check_evaluation(network, size)


def check_or_refused(head: str, *backbone, missing: str) -> None:
    try:
        network = build(head, *backbone)
    except ConfigError as error:
        reason = str(error)
    else:
        check(network)
        return
    assert re.match(rf"head(={head}|\.decoder=true) needs .*{missing}.*another backbone", reason)


@pytest.mark.parametrize("head", HEADS)
def test_a_plain_vision_transformer(head):
    check_or_refused(head, "vit_tiny_patch16_224", 16, VIT, missing=r"has \[16, 16, 16\]")


@pytest.mark.parametrize("head", HEADS)
def test_swin(head):
    missing = r"a feature at stride 2; this backbone has \[4, 8, 16, 32\]"
    check_or_refused(head, "swin_tiny_patch4_window7_224", 32, SWIN, missing=missing)


def test_swin_with_the_norm_of_its_upernet():
    check(build("upernet", "swin_tiny_patch4_window7_224", 32, SWIN, "head.norm=true"))


@pytest.mark.parametrize(
    ("name", "stride"), [("vit_small_patch14_dinov2", 14), ("convnext_atto", 16), ("efficientnet_b0", 16)]
)
def test_other_encoders(name, stride):
    check(build("psp", name, stride, VIT if "vit" in name else ()))


@pytest.mark.parametrize(
    ("name", "stride", "options", "size"),
    [("vit_tiny_patch16_224", 16, VIT, (48, 48)), ("swin_tiny_patch4_window7_224", 32, SWIN, (36, 48))],
)
def test_what_an_encoder_pads_is_cut_off_again(name, stride, options, size):
    """Not squeezed into the image, where labels would be off by up to a patch."""
    network = build("psp", name, stride, options).eval()
    image = torch.randint(0, 256, (1, 3, 33, 47)).float()
    padded = network.mean.expand(1, 3, *size).clone()
    padded[..., :33, :47] = image
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(padded)[..., :33, :47])


def test_labels_meet_the_cells_of_the_image_alone():
    """Sides of 65 and 97 become 128 for this one, whose stages have 1/4 to 1/16, as for a MaxViT."""
    network = build("psp", "resnet18", 16, (), "head.aux=[1,4]")
    network.multiple = 64
    auxiliary = check_training(network, (65, 97))
    assert {name: maps.shape[-2:] for name, maps in auxiliary.items()} == {"aux1": (17, 25), "aux4": (5, 7)}
