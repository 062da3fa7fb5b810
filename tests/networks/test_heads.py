"""All heads over several encoders: shapes, gradients, strides, and what is refused."""

import pytest
import torch

from segsweep.errors import ConfigError
from segsweep.networks import Encoder, Segmenter
from segsweep.networks.blocks import ImagePooling
from segsweep.networks.heads.aspp import Aspp
from segsweep.networks.heads.base import rates_at
from segsweep.networks.heads.ksac import Ksac
from segsweep.networks.heads.none import NoPyramid
from segsweep.networks.segmenter import check_input

HEADS = [
    (NoPyramid, {}),
    (NoPyramid, {"decoder": True}),
    (Aspp, {"rates": [6]}),
    (Aspp, {"separable": True, "decoder": True}),
    (Ksac, {"rates": [1, 6, 12, 18, 24]}),
    (Ksac, {"fuse": "concat", "decoder": True}),
]


def build(head, options, encoder="mobilenetv2_100", output_stride=16, classes=5):
    body = Encoder(encoder, output_stride=output_stride)
    return Segmenter(body, head(body.channels, body.reductions, classes, width=16, **options))


@pytest.mark.parametrize(("head", "options"), HEADS)
@pytest.mark.parametrize("encoder", ["mobilenetv2_100", "resnet18"])
@pytest.mark.parametrize("size", [(33, 33), (65, 97)])
def test_any_size_gives_logits_of_that_size_and_gradients_everywhere(head, options, encoder, size):
    torch.manual_seed(0)
    network = build(head, options, encoder).train()
    image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    logits = network(image)
    assert logits.shape == (2, 5, *size)
    logits.square().mean().backward()
    without = [
        name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert without == []
    assert network.eval()(image, (20, 30)).shape == (2, 5, 20, 30)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_strides(output_stride):
    network = build(NoPyramid, {}, output_stride=output_stride).eval()
    features = network.features(torch.zeros(1, 3, 64, 64))
    assert features[-1].shape[-2:] == (64 // output_stride,) * 2
    assert network.encoder.reductions[-1] == output_stride


def test_the_decoder_works_at_stride_4():
    network = build(Ksac, {"decoder": True}).eval()
    assert network.head(network.features(torch.zeros(1, 3, 64, 96))).shape == (1, 5, 16, 24)


def test_rates_double_at_output_stride_8():
    assert rates_at([6, 12, 18], 16) == (6, 12, 18)
    assert rates_at([6, 12, 18], 8) == (12, 24, 36)


def test_normalisation_is_the_weights_own():
    """A network that sees its own mean colour sees zero; xception's mean is not resnet's."""
    for name, mean in (("resnet18", (0.485, 0.456, 0.406)), ("xception65", (0.5, 0.5, 0.5))):
        with torch.no_grad():
            body = Encoder(name)
            network = Segmenter(body, NoPyramid(body.channels, body.reductions, 2, width=4))
        network.encoder.forward = lambda x: [x]
        (seen,) = network.features(255 * torch.tensor(mean).view(1, 3, 1, 1).expand(1, 3, 2, 2))
        assert seen.abs().max() < 1e-6


def test_image_pooling_survives_a_batch_of_one():
    pooling = ImagePooling(4, 3).train()
    before = pooling.project[1].running_mean.clone()
    out = pooling(torch.randn(1, 4, 5, 6))
    assert out.isfinite().all()
    assert out.shape == (1, 3, 5, 6)
    assert torch.equal(before, pooling.project[1].running_mean)
    pooling(torch.randn(2, 4, 5, 6))
    assert not torch.equal(before, pooling.project[1].running_mean)


@pytest.mark.parametrize(
    ("head", "options", "word"),
    [
        (Ksac, {"rates": []}, "head.rates"),
        (Ksac, {"rates": [6, 0]}, "head.rates"),
        (Aspp, {"rates": [1.5]}, "head.rates"),
        (Aspp, {"rates": 6}, "head.rates"),
        (Ksac, {"fuse": "summ"}, "did you mean sum"),
    ],
)
def test_wrong_options_are_named(head, options, word):
    with pytest.raises(ConfigError, match=word):
        head([4, 8], [4, 16], 2, **options)


def test_a_decoder_needs_a_feature_at_stride_4():
    with pytest.raises(ConfigError, match="stride 4"):
        Ksac([8, 16], [8, 16], 2, decoder=True)


def test_input_checks():
    body = Encoder("resnet18", output_stride=32)
    with pytest.raises(ConfigError, match=r"size=\[16, 16\].*reduction, 32"):
        check_input(body, (16, 16), 8)
    with pytest.raises(ConfigError, match=r"1×1.*batch_size"):
        check_input(body, (32, 32), 1)
    check_input(body, (32, 32), 2)
    check_input(body, (33, 33), 1)
