from hashlib import sha256

import numpy as np
import pytest

from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.shapes import Shapes
from segsweep.data.sets.shapes_draw import CLASSES, diameters, outline
from segsweep.errors import ConfigError, DataError


def shapes(**options) -> Shapes:
    return Shapes(**{"size": 64, **options})


def labels(images=150, **options) -> np.ndarray:
    return np.stack([sample.label for sample in shapes(train_images=images, **options).split("train")])


def test_pictures_are_a_function_of_the_data_seed_alone():
    first, again = shapes().split("train")[3], shapes(train_images=9).split("train")[3]
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.label, again.label)
    other = shapes(data_seed=1)
    assert not np.array_equal(first.image, other.split("train")[3].image)
    assert other.split_hash("train") != shapes().split_hash("train")


def test_pictures_stay_the_same_from_version_to_version():
    """A change here changes every figure on Shapes: it is a new data set, and the changelog must say so."""
    label = shapes().split("train")[0].label
    assert sha256(label.tobytes()).hexdigest()[:16] == "ba41b09e12282e33"


def test_no_picture_is_in_two_splits_or_twice_in_one():
    data = shapes(train_images=60, val_images=60, test_images=60)
    data.check_files()
    pictures = {s.image.tobytes() for name in ("train", "val", "test") for s in data.split(name)}
    ids = {s.id for name in ("train", "val", "test") for s in data.split(name)}
    assert len(pictures) == len(ids) == 180


def test_samples_have_the_promised_form():
    sample = shapes(size=32, image_size=[40, 72], val_images=1).split("val")[0]
    assert sample.image.shape == (40, 72, 3)
    assert sample.label.shape == (40, 72)
    assert sample.image.dtype == sample.label.dtype == np.uint8
    assert [len(shapes().split(name)) for name in ("train", "val", "test")] == [2000, 50, 100]


def test_background_is_most_and_the_other_classes_share_the_rest_alike():
    counts = np.bincount(labels(400).ravel(), minlength=256)
    share = counts[:6] / counts[:6].sum()
    assert 0.55 < share[0] < 0.72
    assert share[1:].max() < 1.6 * share[1:].min()
    assert counts.sum() == counts[:6].sum() + counts[IGNORE_INDEX]


def test_sizes_span_sixteen_to_one_evenly_in_the_logarithm():
    sizes = np.array(diameters(np.random.default_rng(0), 4000, 128, 160))
    assert 8 <= sizes.min() < 8.1
    assert 127 < sizes.max() <= 128
    assert np.allclose(np.histogram(np.log2(sizes), bins=[3, 4, 5, 6, 7])[0], 1000, atol=100)


@pytest.mark.parametrize("kind", range(1, len(CLASSES)))
def test_every_class_covers_half_the_squared_diameter(kind):
    """Counted on a fine grid by the even-odd rule, without OpenCV."""
    polygons = outline(kind, 100)
    y, x = np.mgrid[-100:100:1.0, -100:100:1.0] + 0.37
    inside = np.zeros(x.shape, dtype=bool)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            crosses = (y0 > y) != (y1 > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    assert abs(inside.sum() / 5000 - 1) < 0.02


def test_borders_are_ignored_and_can_be_left_out():
    assert not (labels(20, border=0) == IGNORE_INDEX).any()
    thin, thick = ((labels(20, border=b) == IGNORE_INDEX).mean() for b in (1, 3))
    assert 0 < thin < thick


def test_a_colour_says_little_of_a_class():
    """The best guess from a pixel's colour alone, nearest class mean, is right for some two in three."""
    split = shapes(train_images=200).split("train")
    image, label = (np.concatenate([s[i].reshape(-1, *s[i].shape[2:]) for s in split]) for i in (0, 1))
    objects = (label > 0) & (label != IGNORE_INDEX)
    image, label = image[objects].astype(float), label[objects]
    means = np.stack([image[label == kind].mean(axis=0) for kind in range(1, 6)])
    guess = 1 + ((image[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.25 < (guess == label).mean() < 0.7, "chance is 0.2"


def test_fewer_classes_are_the_first_ones():
    data = shapes(num_classes=3, train_images=40)
    assert data.classes == ("background", "disk", "square")
    assert len(data.palette) == 3
    assert set(np.unique([s.label for s in data.split("train")])) == {0, 1, 2, IGNORE_INDEX}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_classes": 7}, "num_classes=7"),
        ({"num_classes": 1}, "num_classes=1"),
        ({"border": -1}, "^border="),
        ({"val_images": 2.5}, "^val_images="),
        ({"image_size": [1]}, "^image_size="),
    ],
)
def test_wrong_options_are_named_in_one_line(options, named):
    with pytest.raises(ConfigError, match=named) as error:
        shapes(**options)
    assert "\n" not in str(error.value)


def test_a_split_of_no_pictures_is_empty():
    with pytest.raises(DataError, match=r"dataset\.val_images: split 'val' is empty"):
        shapes(val_images=0).split("val")
