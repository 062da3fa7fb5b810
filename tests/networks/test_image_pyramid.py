"""An encoder on an image pyramid (`backbone.pyramid`), against the encoder run by hand on each image."""

import pytest
import torch
from torch.nn.functional import interpolate

from segsweep.errors import ConfigError
from segsweep.networks import Encoder, EncoderHead
from segsweep.networks.heads.swiftnet import SwiftNet

SIZES = [(33, 33), (65, 97), (128, 128)]


def encoder(pyramid, name="resnet10t", **options) -> Encoder:
    torch.manual_seed(0)
    return Encoder(name, pyramid=pyramid, **{"output_stride": 32, **options}).eval()


@pytest.mark.parametrize("size", SIZES)
def test_maps_of_the_same_stride_are_joined(size):
    own, image = encoder(3), torch.randn(1, 3, *size)
    half = interpolate(image, [(side + 1) // 2 for side in size], mode="bilinear")
    quarter = interpolate(half, [(side + 1) // 2 for side in half.shape[2:]], mode="bilinear")
    with torch.no_grad():
        whole, halves, quarters = (own.body(one) for one in (image, half, quarter))
        maps = own(image)
    want = [
        whole[0], whole[1],
        torch.cat([whole[2], halves[1]], 1),
        torch.cat([whole[3], halves[2], quarters[1]], 1),
        torch.cat([whole[4], halves[3], quarters[2]], 1),
        torch.cat([halves[4], quarters[3]], 1), quarters[4],
    ]  # fmt: skip
    assert own.reductions == [2, 4, 8, 16, 32, 64, 128]
    assert own.channels == [one.shape[1] for one in want]
    for one, expected in zip(maps, want, strict=True):
        torch.testing.assert_close(one, expected)


def test_half_an_image_is_the_mean_of_its_pixels_in_fours():
    own, image = encoder(2), torch.randn(1, 3, 32, 48)
    fours = image.reshape(1, 3, 16, 2, 24, 2).mean(dim=(3, 5))
    with torch.no_grad():
        torch.testing.assert_close(own(image)[-1], own.body(fours)[-1])


def test_a_dilated_encoder_keeps_its_maps_of_one_stride_apart():
    """The smaller image's map joins the deepest of them."""
    with torch.device("meta"):
        own = encoder(2, "resnet18", output_stride=8)
        maps = own(torch.empty(1, 3, 64, 64))
    assert own.reductions == [2, 4, 8, 8, 8, 16, 16, 16]
    assert own.channels == [64, 64, 128, 256, 512 + 64, 128, 256, 512]
    assert [one.shape[1] for one in maps] == own.channels


@pytest.mark.parametrize(("name", "stride"), [("convnext_atto", 32), ("vit_tiny_patch16_224", 16)])
def test_encoders_that_do_not_pad_or_want_whole_patches(name, stride):
    """Of the first, half of 127 pixels has 16 cells where the whole has 15."""
    with torch.device("meta"):
        own = encoder(2, name, output_stride=stride)
        sides = [side + -side % own.multiple for side in (127, 95)]
        maps = own(torch.empty(1, 3, *sides))
    for one, channels, reduction in zip(maps, own.channels, own.reductions, strict=True):
        assert one.shape[1] == channels
        assert all(n >= side // reduction for n, side in zip(one.shape[2:], sides, strict=True))


def test_one_image_is_the_encoder_as_it_was():
    plain, one, image = encoder(None), encoder(1), torch.randn(1, 3, 33, 47)
    assert plain.state_dict().keys() == one.state_dict().keys() == encoder(2).state_dict().keys()
    assert all(map(torch.equal, plain(image), one(image)))


@pytest.mark.parametrize("size", SIZES)
def test_the_shared_weights_are_trained_by_both_images(size):
    own = encoder(2)
    network = EncoderHead(own, SwiftNet(own.channels, own.reductions, 3, bins=(), width=8)).train()
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    logits, _ = network.forward_train(images)
    assert logits.shape == (2, 3, *size)
    logits.square().mean().backward()
    for name, one in network.named_parameters():
        assert one.grad is not None, name
        assert one.grad.isfinite().all(), name
    with torch.no_grad():
        assert network.eval()(images).shape == (2, 3, *size)


@pytest.mark.parametrize("pyramid", [0, -1, 1.5, True, "two"])
def test_a_pyramid_of_no_whole_number_of_images(pyramid):
    with pytest.raises(ConfigError, match=r"^pyramid=.*a whole number, at least 1, or null"):
        Encoder("resnet10t", pyramid=pyramid)
