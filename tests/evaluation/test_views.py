"""Views in bands of rows against torch's resizing of whole maps, and their windows against plain loops."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsweep.evaluation.views import View, resized_rows, windows


class Position(nn.Module):
    """Logits that know left from right: class 0 grows with the column, and with the image's own red."""

    def logits(self, image):
        ramp = torch.linspace(-1, 1, image.shape[-1]).expand(len(image), 1, *image.shape[-2:])
        return torch.cat([ramp + image[:, :1] / 255, -ramp, torch.zeros_like(ramp), ramp * 0 - 5], dim=1)


class Coarse(nn.Module):
    """A convolution of stride 4 and one more, which sees beyond its cell."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 5, 7, 4, 3), nn.Tanh(), nn.Conv2d(5, 4, 3, 1, 1))

    def logits(self, image):
        return self.layers(image / 255)


def whole(view, segmenter, images, index=0):
    rows = view.logits(segmenter, images)
    return rows.rows(index, 0, images.shape[-2])


def resized(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize(("shape", "size"), [((5, 7), (37, 45)), ((1, 1), (9, 8)), ((40, 30), (13, 17))])
def test_rows_of_a_resized_map_are_torchs(shape, size):
    x = torch.randn(1, 3, *shape)
    bands = [resized_rows(x, 0, shape[0], size, i, min(i + 4, size[0])) for i in range(0, size[0], 4)]
    torch.testing.assert_close(torch.cat(bands, 2), resized(x, size), rtol=1e-5, atol=1e-5)


def test_a_flip_is_undone():
    image = torch.rand(1, 3, 6, 8) * 255
    mirrored = whole(View(flip=True), Position(), image)
    torch.testing.assert_close(mirrored, whole(View(), Position(), image.flip(-1)).flip(-1))
    assert not torch.allclose(mirrored, whole(View(), Position(), image))


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.75])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("window", [None, (16, 20)])
@torch.no_grad()
def test_logits_of_a_view_are_those_of_its_definition(scale, flip, window):
    """Resize, mirror, average windows at the resized size, mirror back, resize: whole maps, step by step."""
    images, network = torch.rand(2, 3, 37, 45) * 255, Coarse()
    size = [round(side * scale) for side in (37, 45)]
    seen = resized(images, size)
    seen = seen.flip(-1) if flip else seen
    if window is None:
        expected = network.logits(seen)
    else:
        expected, times = torch.zeros(2, 4, *size), torch.zeros(size)
        for rows, columns in windows(tuple(size), window, (9, 7)):
            crop = seen[..., rows, columns]
            expected[..., rows, columns] += resized(network.logits(crop), crop.shape[-2:])
            times[rows, columns] += 1
        expected = expected / times
    expected = resized(expected.flip(-1) if flip else expected, (37, 45))
    view = View(scale, flip, window, None if window is None else (9, 7))
    logits = view.logits(network, images)
    for index in range(2):
        bands = [logits.rows(index, i, min(i + 5, 37)) for i in range(0, 37, 5)]
        torch.testing.assert_close(torch.cat(bands, 2)[0], expected[index], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "window", "stride"), [((37, 45), (16, 20), (9, 7)), ((10, 50), (16, 16), (16, 16))]
)
def test_windows_cover_every_pixel_and_stay_inside(size, window, stride):
    seen = torch.zeros(size)
    for rows, columns in windows(size, window, stride):
        assert (rows.stop - rows.start, columns.stop - columns.start) == (
            min(window[0], size[0]),
            min(window[1], size[1]),
        )
        assert rows.stop <= size[0]
        assert columns.stop <= size[1]
        seen[rows, columns] += 1
    assert seen.min() >= 1


@torch.no_grad()
def test_a_network_without_context_sees_the_same_through_windows():
    class Pointwise(nn.Module):
        conv = nn.Conv2d(3, 4, 1)

        def logits(self, image):
            return self.conv(image)

    image = torch.rand(1, 3, 37, 45)
    seen = whole(View(window=(16, 20), stride=(9, 7)), Pointwise(), image)
    torch.testing.assert_close(seen, Pointwise.conv(image))
