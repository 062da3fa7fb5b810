"""Options of the heads: what they build, and what is refused. `test_every_head.py` covers all heads alike."""

import numpy as np
import pytest
import torch

from segsweep.errors import ConfigError
from segsweep.networks import Encoder, EncoderHead
from segsweep.networks.blocks import ImagePooling, resize
from segsweep.networks.heads.aspp import Aspp
from segsweep.networks.heads.atonet import AtoNet, SpatialPyramidPooling, grid
from segsweep.networks.heads.base import rates_at
from segsweep.networks.heads.deeplabv2 import DeeplabV2
from segsweep.networks.heads.dual_aspp import DualAspp
from segsweep.networks.heads.encoder_decoder import EncoderDecoder
from segsweep.networks.heads.fcn8s import Fcn8s
from segsweep.networks.heads.ksac import Ksac
from segsweep.networks.heads.multi_pathway import MultiPathway
from segsweep.networks.heads.none import NoPyramid
from segsweep.networks.heads.psp import Psp
from segsweep.networks.heads.upernet import UperNet
from segsweep.networks.segmenter import check_input

VARIANTS = [
    (NoPyramid, {"decoder": True}),
    (NoPyramid, {"depth": 1, "separable": False}),
    (Aspp, {"rates": [6]}),
    (Aspp, {"rates": []}),
    (Aspp, {"separable": True, "decoder": True}),
    (Ksac, {"rates": [1, 6, 12, 18, 24]}),
    (Ksac, {"fuse": "concat", "decoder": True}),
    (DualAspp, {"skip": True}),
    (DualAspp, {"rates": [2], "fine_rates": [1, 100], "fine_width": 7, "separable": False}),
    (AtoNet, {"spp": []}),
    (AtoNet, {"spp": None}),
    (AtoNet, {"released": True}),
    (AtoNet, {"spp": [64, 1, 2, 3, 5]}),
    (Psp, {"bins": []}),
    (Psp, {"bins": [1, 64], "decoder": True}),
    (UperNet, {"bins": [2], "norm": True}),
    (DeeplabV2, {"rates": [100], "dropout": 0.5}),
    (Fcn8s, {"pooled": True}),
]


def build(head, options, encoder="mobilenetv2_100", output_stride=16, classes=5):
    body = Encoder(encoder, output_stride=output_stride)
    return EncoderHead(body, head(body.channels, body.reductions, classes, width=16, **options))


@pytest.mark.parametrize(("head", "options"), VARIANTS)
@pytest.mark.parametrize("size", [(33, 33), (65, 97)])
def test_any_size_gives_logits_of_that_size_and_gradients_everywhere(head, options, size):
    """Rates and bins larger than the map are among the variants."""
    torch.manual_seed(0)
    network = build(head, options).train()
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
            network = EncoderHead(body, NoPyramid(body.channels, body.reductions, 2, width=4))
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
        (Ksac, {"rates": []}, "^rates"),
        (Ksac, {"rates": [6, 0]}, "^rates"),
        (Aspp, {"rates": [1.5]}, "^rates"),
        (Aspp, {"rates": 6}, "^rates"),
        (Ksac, {"fuse": "summ"}, "did you mean sum"),
        (Ksac, {"rates": None}, "^rates=null"),
        (Ksac, {"width": 0}, "^width=0"),
        (Aspp, {"width": None}, "^width=null"),
        (EncoderDecoder, {"width": -3}, "^width=-3"),
        (MultiPathway, {"width": 1.5}, "^width=1.5"),
        (AtoNet, {"width": True}, "^width=true"),
        (NoPyramid, {"width": 0}, "^width=0"),
        (DualAspp, {"width": 0}, "^width=0"),
        (DualAspp, {"fine_width": 0}, "^fine_width=0"),
        (Ksac, {"dropout": 2}, "^dropout=2"),
        (AtoNet, {"dropout": 1}, "^dropout=1: .*below 1"),
        (DualAspp, {"dropout": None}, "^dropout=null"),
        (NoPyramid, {"depth": 0}, "^depth=0"),
        (NoPyramid, {"depth": None}, "^depth=null"),
        (DualAspp, {"fine_rates": [0]}, "^fine_rates"),
        (AtoNet, {"spp": [8, 0]}, "^spp"),
        (AtoNet, {"spp": 8}, "^spp"),
        (Psp, {"bins": [0]}, "^bins"),
        (Psp, {"bins": 6}, "^bins=6"),
        (Psp, {"width": 0}, "^width=0"),
        (UperNet, {"bins": None}, "^bins=null"),
        (UperNet, {"width": 0}, "^width=0"),
        (DeeplabV2, {"rates": []}, "^rates"),
        (DeeplabV2, {"width": 0}, "^width=0"),
        (DeeplabV2, {"dropout": 1}, "^dropout=1"),
        (Fcn8s, {"width": 0}, "^width=0"),
        (Fcn8s, {"dropout": 1}, "^dropout=1"),
        (AtoNet, {"aux": [6]}, r"^aux=\[6\].*from 1 \(finest\) to 4"),
        (AtoNet, {"spp": [], "aux": [4]}, r"^aux=\[4\].*to 3"),
        (Ksac, {"aux": [0]}, "^aux"),
        (Ksac, {"aux": [1, 1]}, "different taps"),
        (Ksac, {"aux": 1}, "^aux"),
        (Ksac, {"aux": [1, 2], "aux_weights": [1.0]}, r"^aux_weights=\[1.0\].*list of 2"),
        (Ksac, {"aux_weights": -1}, "^aux_weights=-1"),
        (Ksac, {"aux": [1], "aux_weights": True}, "^aux_weights=true"),
        (Ksac, {"aux": [1], "aux_weights": None}, "^aux_weights=null"),
        (Ksac, {"aux": False}, "^aux=false"),
        (Ksac, {"aux_target": "labels_up"}, "did you mean labels_down"),
    ],
)
def test_wrong_options_are_named(head, options, word):
    auxiliary = {key: options[key] for key in options if key.startswith("aux")}
    own = {key: options[key] for key in options if key not in auxiliary}
    channels, reductions = [2, 4, 8, 8], [2, 4, 8, 16]
    with pytest.raises(ConfigError, match=word):
        head(channels, reductions, 2, **own).add_auxiliary(channels, reductions, 2, **auxiliary)


def test_a_decoder_needs_a_feature_at_stride_4():
    with pytest.raises(ConfigError, match="stride 4"):
        Ksac([8, 16], [8, 16], 2, decoder=True)


@pytest.mark.parametrize(
    ("head", "options", "missing"),
    [
        (DualAspp, {}, 8),
        (DualAspp, {"skip": True}, 4),
        (AtoNet, {}, 4),
        (UperNet, {}, 4),
        (EncoderDecoder, {}, 4),
        (MultiPathway, {}, 2),
    ],
)
def test_a_head_says_which_feature_it_misses(head, options, missing):
    reductions = [r for r in (2, 4, 8, 16, 32) if r != missing]
    with pytest.raises(ConfigError, match=f"head.*stride {missing}; this backbone has"):
        head([8] * 4, reductions, 2, **options)


def test_multi_pathway_needs_a_stage_too():
    with pytest.raises(ConfigError, match="head=multi_pathway needs a stage"):
        MultiPathway([8], [2], 2)


def test_spp_averages_over_grids_of_the_maps_shape():
    """Against numpy: every cell of every grid is the mean of its part of the map."""
    assert [grid(b, (32, 64)) for b in (8, 4, 2, 1)] == [(8, 16), (4, 8), (2, 4), (1, 2)]
    assert grid(8, (3, 5)) == (3, 5)
    assert grid(1, (64, 8)) == (1, 1)
    spp = SpatialPyramidPooling(3, 2, [2]).eval()
    x = torch.randn(1, 3, 4, 8)
    seen = []
    spp.levels[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    spp(x)
    inside = spp.input(x).detach().numpy()[0]
    expected = inside.reshape(3, 2, 2, 4, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(seen[0][0].detach().numpy(), expected, atol=1e-6)


def test_input_checks():
    body = Encoder("resnet18", output_stride=32)
    with pytest.raises(ConfigError, match=r"size=\[16,16\].*reduction, 32"):
        check_input(max(body.reductions), (16, 16), 8)
    with pytest.raises(ConfigError, match=r"1×1.*batch_size"):
        check_input(max(body.reductions), (32, 32), 1)
    check_input(max(body.reductions), (32, 32), 2)
    check_input(max(body.reductions), (33, 33), 1)


@pytest.mark.parametrize("size", [(16, 16), (5, 40), (1, 1)])
def test_an_image_below_the_coarsest_cell_of_a_network_without_padding_is_padded(size):
    """ConvNeXt gives nothing for 16 pixels; a network that pads is left alone."""
    image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    large = torch.zeros(1, 3, *(max(32, side) for side in size), dtype=torch.uint8)
    large[..., : size[0], : size[1]] = image
    convnext, resnet = (
        build(NoPyramid, {}, encoder=name, output_stride=32).eval() for name in ("convnext_atto", "resnet18")
    )
    convnext.mean.zero_()
    with torch.no_grad():
        by_hand = convnext(large)[..., : size[0], : size[1]]
        torch.testing.assert_close(convnext(image), by_hand)
        as_it_is = resize(resnet.head(resnet.features(image)), size)
        torch.testing.assert_close(resnet(image), as_it_is, rtol=0, atol=0)
