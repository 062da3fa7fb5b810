"""BiSeNet's encoders: their sizes, their weights, and what is refused."""

import pytest
import torch

from segsweep.builders import build_segmenter
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError
from segsweep.networks.encoder import Encoder
from segsweep.networks.whole.bisenet import BiSeNet
from segsweep.networks.whole.xception39 import Xception39
from segsweep.planning import dry_build
from tests.networks.counting import gmacs, parameters
from tests.support.composing import member


def test_xception39_has_the_papers_size():
    """Table 1 prints 1.2 M, which are MiB of 4-byte weights, and 185.5 M operations at 360×640."""
    with torch.device("meta"):
        encoder = Xception39()
    assert round(parameters(encoder) * 4 / 2**20, 1) == 1.2
    assert gmacs(encoder, (360, 640)) == pytest.approx(0.1855, rel=0.005)


def test_its_maps_are_at_an_eighth_a_sixteenth_and_a_thirty_second():
    with torch.device("meta"):
        maps = Xception39()(torch.empty(1, 3, 65, 97))
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 9, 13), (128, 5, 7), (256, 3, 4)]


def configured(*options: str) -> RunConfig:
    return member("network=bisenet", "num_classes=3", *options).config


def test_a_timm_encoder_starts_from_a_file(tmp_path):
    weights = Encoder("resnet18", 32).body.state_dict()
    torch.save(weights, tmp_path / "resnet18.pt")
    options = "network.encoder=resnet18", f"network.weights={tmp_path / 'resnet18.pt'}"
    network = build_segmenter(configured(*options))
    assert network.encoder.has_pretrained_weights
    assert all(torch.equal(weights[key], one) for key, one in network.encoder.body.state_dict().items())


def test_a_file_of_another_encoder_is_refused_before_anything_starts(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    options = "network.encoder=resnet18", f"network.weights={tmp_path / 'other.pt'}"
    found = [str(problem) for problem, _ in dry_build.problems(configured(*options))]
    assert any("network.weights" in one and "not the weights of resnet18" in one for one in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pretrained": True}, "pretrained=true: there are no ImageNet weights for encoder=xception39"),
        ({"weights": "a.pt"}, "weights=a.pt: there are no ImageNet weights"),
        ({"encoder": "resnet19"}, "encoder=resnet19: timm has no such model"),
        ({"encoder": "swin_tiny_patch4_window7_224"}, "does not give maps at 1/8, 1/16 and 1/32"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    with torch.device("meta"), pytest.raises(ConfigError) as refused:
        BiSeNet(3, **options)
    assert words in str(refused.value)
