import pickle
import random
from collections import Counter

import albumentations as A
import cv2
import numpy as np
import pytest

from segsweep.data.augment import Augment, scale_choices
from segsweep.data.sample import IGNORE_INDEX, Sample
from segsweep.data.sampling import key
from segsweep.errors import ConfigError

FILL = (1, 2, 3)


def coded(height: int = 60, width: int = 80) -> Sample:
    """A sample whose image says what the label is: smooth, and 10 + the label in every channel."""
    label = np.repeat(np.arange(width, dtype=np.uint8)[None], height, axis=0)
    return Sample(np.repeat(label[..., None] + 10, 3, axis=2).astype(np.uint8), label, "coded")


def test_scales_are_those_of_the_paper_and_drawn_evenly():
    augment = Augment(64)
    assert augment.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    # A slope of s pixels of source a pixel gives the scale away: at scale 2 the label grows by 1 in 2 pixels.
    tall = coded(200, 200)
    drawn = Counter()
    for index in range(350):
        row = augment(tall, 0, 0, index).label[0].astype(int)
        drawn[round(63 / abs(row[-1] - row[0]) * 4) / 4] += 1
    assert set(drawn) == set(augment.scales)
    assert min(drawn.values()) > 25, "50 of each on average"


def test_scales_may_be_any_between_and_the_width_that_of_an_aspect():
    """ATONet's released code: one to two times the image's height, drawn evenly, and twice as wide."""
    augment = Augment(60, 1.0, 2.0, None, aspect=2.0, flip=0)
    drawn, wide = [], coded(60, 240)
    for index in range(300):
        done = augment(wide, 0, 0, index)
        row = done.label[0].astype(int)
        # 240 columns become 2 × height, and height is what 60 rows become.
        slope = (row[-1] - row[0]) / 59
        drawn.append(240 / slope / 2 / 60)
    assert min(drawn) > 0.97
    assert max(drawn) < 2.06
    assert len({round(scale, 2) for scale in drawn}) > 40
    assert np.histogram(drawn, bins=4, range=(1, 2))[0].min() > 50, "75 of each on average"
    with pytest.raises(ConfigError, match=r"^scale_max"):
        Augment(60, 2.0, 1.0, None)
    with pytest.raises(ConfigError, match=r"^aspect"):
        Augment(60, aspect=0)


def test_labels_are_255_exactly_where_the_image_is_padding():
    augment = Augment((96, 120), fill=FILL)
    padded = 0
    for index in range(40):
        done = augment(coded(), 0, 0, index)
        assert done.image.shape == (96, 120, 3)
        assert done.label.shape == (96, 120)
        padding = (done.image == FILL).all(axis=2)
        np.testing.assert_array_equal(padding, done.label == IGNORE_INDEX)
        padded += int(padding.any())
    assert padded > 10


def test_image_and_label_stay_aligned():
    augment = Augment(48)
    for index in range(60):
        done = augment(coded(), 1, 0, index)
        seen = done.label != IGNORE_INDEX
        # The image is interpolated and the label is not: half a source pixel apart at most, plus rounding.
        off = done.image[..., 0].astype(int) - 10 - done.label
        assert np.abs(off[seen]).max() <= 1
        assert abs(off[seen].mean()) <= 0.5


def test_scaled_labels_are_not_shifted_by_half_a_pixel():
    """Against resizing by pixel centres, written out: output pixel x is source pixel floor((x + .5) / s)."""
    sample = coded(40, 40)
    for scale in (0.5, 1.5, 2.0):
        side = int(40 * scale)
        done = Augment(side, scale, scale, 0.25, flip=0)(sample, 0, 0, 0)
        centres = (np.arange(side) + 0.5) / scale
        clear = centres % 1 != 0  # a centre between two source pixels may go to either
        np.testing.assert_array_equal(done.label[0][clear], np.floor(centres[clear]).astype(np.uint8))
        assert np.abs(done.label[0] + 0.5 - centres).max() <= 0.5
        image = cv2.resize(sample.image, (side, side), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(done.image, image)


def test_a_draw_is_a_function_of_seed_epoch_and_index():
    sample, augment = coded(), Augment(32)
    first = augment(sample, 5, 2, 7)
    augment(sample, 5, 2, 8)
    copy = pickle.loads(pickle.dumps(augment))
    for again in (augment(sample, 5, 2, 7), copy(sample, 5, 2, 7), Augment(32)(sample, 5, 2, 7)):
        np.testing.assert_array_equal(first.image, again.image)
        np.testing.assert_array_equal(first.label, again.label)
    for other in ((6, 2, 7), (5, 3, 7), (5, 2, 9)):
        assert not np.array_equal(first.image, augment(sample, *other).image)


def test_flips_are_half_of_the_draws_and_independent_of_the_scale():
    augment, wide = Augment(40), coded(160, 160)
    flips, large_flips = 0, []
    for index in range(400):
        row = augment(wide, 0, 0, index).label[0].astype(int)
        flipped = row[-1] < row[0]
        flips += flipped
        if abs(row[-1] - row[0]) < 25:
            large_flips.append(flipped)
    assert 160 < flips < 240
    assert 0.3 < np.mean(large_flips) < 0.7


class StepScale(A.RandomScale):
    """Resize by one of `choices`, each as likely."""

    choices: tuple[float, ...] = (1.0,)

    def get_params(self):
        return {"scale": self.py_random.choice(self.choices)}


def plain_way(size: tuple[int, int], flip: float = 0.5):
    """The whole image scaled, padded, cropped, flipped by albumentations, as runs once did."""
    scale = StepScale(interpolation=cv2.INTER_LINEAR, mask_interpolation=cv2.INTER_NEAREST_EXACT, p=1.0)
    scale.choices = scale_choices(0.5, 2.0, 0.25)
    pad = A.PadIfNeeded(*size, position="top_left", fill=FILL, fill_mask=IGNORE_INDEX)
    pipeline = A.Compose([scale, pad, A.RandomCrop(*size), A.HorizontalFlip(p=flip)], strict=True)

    def call(sample: Sample, seed: int, epoch: int, index: int) -> Sample:
        state = key(seed, "augment", epoch, index)
        pipeline.set_random_state(np.random.default_rng(state), random.Random(state))
        done = pipeline(image=sample.image, mask=sample.label)
        return Sample(done["image"], done["mask"], sample.id)

    return call


# Divisible by four and not, smaller and larger than the crop, one axis of each.
@pytest.mark.parametrize("shape", [(360, 480), (375, 500), (333, 499), (30, 50), (50, 700), (37, 41)])
@pytest.mark.parametrize("size", [(64, 96), (321, 321)])
def test_it_equals_scaling_padding_and_cropping_the_whole_image(shape, size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    sample = Sample(image, rng.integers(0, 21, shape, dtype=np.uint8), "noise")
    augment, plain = Augment(size, fill=FILL), plain_way(size)
    for index in range(24):
        fast, slow = augment(sample, 3, 1, index), plain(sample, 3, 1, index)
        np.testing.assert_array_equal(fast.image, slow.image)
        np.testing.assert_array_equal(fast.label, slow.label)


def test_far_from_the_origin_it_differs_by_one_grey_level_at_most():
    """OpenCV's positions are single floats; at 3,500 pixels rounding shows in a few percent."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (64, 2048, 3), dtype=np.uint8)
    sample = Sample(image, rng.integers(0, 19, (64, 2048), dtype=np.uint8), "wide")
    augment, plain = Augment((48, 200), fill=FILL), plain_way((48, 200))
    for index in range(60):
        fast, slow = augment(sample, 0, 0, index), plain(sample, 0, 0, index)
        np.testing.assert_array_equal(fast.label, slow.label)
        off = np.abs(fast.image.astype(int) - slow.image)
        assert off.max() <= 1
        assert (off > 0).mean() < 0.05


def test_without_scale_and_flip_it_only_pads_and_crops():
    sample = coded(30, 50)
    done = Augment((30, 50), 1, 1, 0.25, 0)(sample, 0, 0, 0)
    np.testing.assert_array_equal(done.image, sample.image)
    np.testing.assert_array_equal(done.label, sample.label)
    small = Augment((40, 60), 1, 1, 0.25, 0)(sample, 0, 0, 0)
    np.testing.assert_array_equal(small.label[:30, :50], sample.label)
    assert (small.label[30:] == IGNORE_INDEX).all()
    assert (small.label[:, 50:] == IGNORE_INDEX).all()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (1, 3000)])
def test_an_image_one_pixel_high_keeps_it_at_any_scale(shape):
    sample = Sample(np.full((*shape, 3), 9, np.uint8), np.full(shape, 2, np.uint8), "thin")
    augment = Augment(64, fill=FILL)
    for index in range(24):
        done = augment(sample, 0, 0, index)
        assert done.image.shape == (64, 64, 3)
        assert set(np.unique(done.label)) == {2, IGNORE_INDEX}
        assert (done.image[done.label == 2] == 9).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": 0}, "^size"),
        ({"size": [1, 2, 3]}, "^size"),
        ({"size": "64"}, "^size"),
        ({"scale_min": 0}, "^scale_min"),
        ({"scale_min": "half"}, "^scale_min"),
        ({"scale_max": 0.25}, "^scale_max"),
        ({"scale_step": 0.4}, "^scale_max"),
        ({"scale_step": 0}, "^scale_step"),
        ({"flip": 1.5}, "^flip"),
        ({"flip": True}, "^flip"),
        ({"fill": [0, 0]}, "^fill"),
        ({"fill": [0, 0, 256]}, "^fill"),
    ],
)
def test_wrong_settings_name_the_option_in_one_line(options, named):
    with pytest.raises(ConfigError, match=named) as error:
        Augment(**{"size": 64, **options})
    assert "\n" not in str(error.value)


def test_scale_choices_are_exact():
    assert scale_choices(0.1, 0.7, 0.1) == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
