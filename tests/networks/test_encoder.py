"""Encoders from timm: weights from files, and the errors a user meets."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from segsweep.errors import ConfigError
from segsweep.networks import Encoder
from tests.shared import shared


def test_channels_and_reductions_are_timms():
    body = Encoder("mobilenetv2_100", output_stride=16)
    assert body.channels == [16, 24, 32, 96, 320]
    assert body.reductions == [2, 4, 8, 16, 16]


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_classifiers_weights_load_without_its_classifier(tmp_path: Path, suffix):
    torch.manual_seed(1)
    classifier = timm.create_model("mobilenetv2_100", num_classes=10)
    file = tmp_path / f"w.{suffix}"
    save = save_file if suffix == "safetensors" else torch.save
    save(classifier.state_dict(), file)
    body = Encoder("mobilenetv2_100", weights=str(file))
    assert body.has_pretrained_weights
    # The encoder's last map is what the classifier has before its own last convolution.
    image = torch.randn(1, 3, 64, 64)
    want = classifier.eval().blocks(classifier.bn1(classifier.conv_stem(image)))
    got = Encoder("mobilenetv2_100", output_stride=32, weights=str(file)).eval()(image)[-1]
    torch.testing.assert_close(got, want)


def test_the_given_imagenet_weights_load():
    file = shared("data/weights/mobilenetv2_100.in1k.safetensors")
    body = Encoder("mobilenetv2_100", weights=str(file))
    random = Encoder("mobilenetv2_100")
    assert not torch.equal(body.body.conv_stem.weight, random.body.conv_stem.weight)


def test_other_weights_bring_their_own_normalisation():
    body = Encoder("mobilenetv2_100", mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], options={"pad_type": "same"})
    assert body.mean == (0.5, 0.5, 0.5)
    assert body.std == (0.5, 0.5, 0.5)


def test_unknown_model_names_its_neighbours():
    with pytest.raises(ConfigError, match=r"name=resnet1O1.*did you mean.*resnet101"):
        Encoder("resnet1O1")
    with pytest.raises(ConfigError, match=r"name=null") as caught:
        Encoder(None)
    assert len(str(caught.value)) < 300, "not all of timm's 1300 models"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": [0.5, 0.5]}, r"^mean=\[0\.5,0\.5\]: expected three numbers"),
        ({"mean": "abc"}, "^mean=abc"),
        ({"std": [0.5, 0.5, 0]}, r"^std=.*all above 0"),
        ({"options": "pad_type"}, "^options=pad_type"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        Encoder("resnet10t", **options)


def test_weights_of_another_network(tmp_path: Path):
    file = tmp_path / "w.safetensors"
    save_file({"conv.weight": torch.zeros(1)}, file)
    with pytest.raises(ConfigError, match=r"not the weights of resnet18.*missing"):
        Encoder("resnet18", weights=str(file))


def test_weights_that_are_no_weights(tmp_path: Path):
    file = tmp_path / "w.pt"
    file.write_text("hello")
    with pytest.raises(ConfigError, match="not readable"):
        Encoder("resnet18", weights=str(file))
    with pytest.raises(ConfigError, match="no such file"):
        Encoder("resnet18", weights=str(tmp_path / "nowhere.pt"))


def test_offline_pretrained_names_the_way_out(monkeypatch, tmp_path: Path):
    """The hub is told that there is no network, and its cache is empty: what a cluster node looks like."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^pretrained=true.*a local file by the option weights"):
        Encoder("resnet10t", pretrained=True)


def test_an_output_stride_that_timm_cannot_give():
    with pytest.raises(ConfigError, match=r"output_stride=12"):
        Encoder("resnet18", output_stride=12)
    with pytest.raises(ConfigError, match=r"densenet121: its output stride is 32 .*use output_stride=32"):
        Encoder("densenet121", output_stride=16)
    with pytest.raises(ConfigError, match=r"vit_tiny_patch16_224: its output stride is 16"):
        Encoder("vit_tiny_patch16_224", output_stride=8)
    with pytest.raises(ConfigError, match=r"its output stride is 14 .*use output_stride=14"):
        Encoder("vit_small_patch14_dinov2")
    with pytest.raises(ConfigError, match=r"^output_stride=16\.0: expected one of"):
        Encoder("resnet18", output_stride=16.0)


@pytest.mark.parametrize("name", ["coat_tiny", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_models_of_one_image_size_or_maps_of_another_are_refused_by_name(name):
    with pytest.raises(ConfigError, match=f"{name}: it does not give its maps for images of any size"):
        Encoder(name, output_stride=32)


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        pytest.param("densenet121", 32, marks=pytest.mark.slow),
        pytest.param("hgnetv2_b0", 32, marks=pytest.mark.slow),
        pytest.param("repvit_m1_0", 32, marks=pytest.mark.slow),
        ("pvt_v2_b0", 32),
        ("swin_tiny_patch4_window7_224", 32),
        ("mambaout_femto", 32),
        ("vit_tiny_patch16_224", 16),
        ("vit_small_patch16_dinov3", 16),
        ("vit_small_patch14_dinov2", 14),
        pytest.param("maxvit_tiny_tf_224", 32, marks=pytest.mark.slow),
        pytest.param("sam2_hiera_tiny", 32, marks=pytest.mark.slow),
    ],
)
def test_models_with_a_stride_of_their_own_give_their_maps_for_any_image(name, stride):
    with torch.device("meta"):
        encoder = Encoder(name, output_stride=stride).eval()
        covered = [side + -side % encoder.multiple for side in (97, 131)]
        maps = encoder(torch.empty(2, 3, *covered))
    assert encoder.reductions[-1] == stride
    for one, channels, reduction in zip(maps, encoder.channels, encoder.reductions, strict=True):
        assert one.shape[:2] == (2, channels)
        for found, side in zip(one.shape[2:], covered, strict=True):
            assert side // reduction <= found <= -(-side // reduction)


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("swin_tiny_patch4_window7_224", 32),
        ("vit_tiny_patch16_224", 16),
        pytest.param("pvt_v2_b0", 32, marks=pytest.mark.slow),
    ],
)
def test_their_maps_and_weights_are_the_classifiers(name, stride, tmp_path):
    """Channels-last maps too: compared with what the classifier itself has before its pooling."""
    torch.manual_seed(0)
    classifier = timm.create_model(name, num_classes=3).eval()
    save_file(classifier.state_dict(), tmp_path / "w.safetensors")
    encoder = Encoder(name, output_stride=stride, weights=str(tmp_path / "w.safetensors")).eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        want = classifier.forward_intermediates(image, intermediates_only=True, norm=False)[-1]
        got = encoder(image)[-1]
    torch.testing.assert_close(got, want)
