"""Transforms of albumentations: what they may return, and what they fill labels with."""

import inspect
import pickle

import albumentations as A
import numpy as np
import pytest
from hydra.utils import instantiate

from segsweep.data.augment import Augment
from segsweep.data.extra import with_ignored_fill
from segsweep.data.sample import IGNORE_INDEX, Sample
from segsweep.errors import ConfigError
from tests.data.test_augment import coded

MOVED = {
    "Affine": {"translate_px": [9, 9]},
    "CropAndPad": {"px": 8},
    "ElasticTransform": {"alpha": 300},
    "Perspective": {"scale": [0.3, 0.3], "fit_output": True},
    "SafeRotate": {"limit": [30, 30]},
    "Rotate": {"limit": [30, 30]},
    "ShiftScaleRotate": {"shift_limit": [0.3, 0.3]},
    "TimeMasking": {"time_mask_param": 20},
}
"""Options by which a transform brings in pixels from outside the image."""


def test_extra_transforms_are_drawn_from_the_same_seed_and_leave_the_rest_as_it_was():
    sample = Sample(np.full((40, 40, 3), 100, np.uint8), np.zeros((40, 40), np.uint8), "grey")
    extra = [
        A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0, p=0.5),
        A.HorizontalFlip(p=0.5),
    ]
    augment, bare = Augment(32, 1, 1, extra=extra), Augment(32, 1, 1)
    seen = [augment(sample, 0, 0, index).image[0, 0, 0] for index in range(200)]
    assert 60 <= sum(value == 100 for value in seen) <= 140, "half are left alone"
    assert len(set(seen)) > 20
    copy = pickle.loads(pickle.dumps(augment))
    assert [copy(sample, 0, 0, index).image[0, 0, 0] for index in range(200)] == seen
    coloured = Augment(48, extra=[A.ToGray(p=1)])
    for index in range(5):
        np.testing.assert_array_equal(
            coloured(coded(), 0, 0, index).label, Augment(48)(coded(), 0, 0, index).label
        )
    assert (sample.image == 100).all()
    assert (bare(sample, 0, 0, 0).image == 100).all()


@pytest.mark.filterwarnings("ignore:Argument:UserWarning")
def test_extra_transforms_that_are_none_are_named():
    for extra in (["flip"], [A.HorizontalFlip(p=1, howoften=2)]):
        with pytest.raises(ConfigError, match=r"^extra: ") as error:
            Augment(32, extra=extra)
        assert "\n" not in str(error.value)


def node(name: str, **options):
    """A transform as it stands in the configuration, its fill worked out."""
    return with_ignored_fill([{"_target_": f"albumentations.{name}", "p": 1, **options}])


def augmented(extra, size: int = 32, label: int = 7, index: int = 0) -> Sample:
    image = np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)
    sample = Sample(image, np.full((size, size), label, np.uint8), "noise")
    return Augment(size, 1, 1, flip=0, extra=instantiate(extra, _convert_="all"))(sample, 0, 0, index)


def test_every_transform_that_fills_labels_has_them_ignored():
    """Asked of the signatures that albumentations ships, so that a new one is found."""
    filling = []
    for name, transform in vars(A).items():
        if not (inspect.isclass(transform) and issubclass(transform, A.BasicTransform)):
            continue
        option = inspect.signature(transform).parameters.get("fill_mask")
        if option is not None and option.default is not None:
            assert node(name)[0]["fill_mask"] == IGNORE_INDEX, name
            filling.append(name)
        else:
            assert "fill_mask" not in node(name)[0], name
    assert {"Affine", "CropAndPad", "GridDistortion", "MaskDropout", "Rotate"} < set(filling)


@pytest.mark.parametrize(
    "name",
    ["Affine", "CropAndPad", "ElasticTransform", "FrequencyMasking", "GridDistortion", "MaskDropout",
     "OpticalDistortion", "Perspective", "Rotate", "SafeRotate", "ShiftScaleRotate", "ThinPlateSpline",
     "TimeMasking"],
)  # fmt: skip
# albumentations advises against three of them.
@pytest.mark.filterwarnings("ignore:.*(TimeMasking|FrequencyMasking|ShiftScaleRotate):UserWarning")
def test_pixels_from_nowhere_are_ignored(name):
    extra = node(name, **MOVED.get(name, {}))
    values = {int(v) for index in range(8) for v in np.unique(augmented(extra, index=index).label)}
    assert values <= {7, IGNORE_INDEX}
    assert IGNORE_INDEX in values


def test_what_the_user_says_of_the_fill_holds_at_any_depth():
    extra = [{"_target_": "albumentations.OneOf", "p": 1, "transforms": [
        {"_target_": "albumentations.Affine", "translate_px": [9, 9], "p": 1, "fill_mask": 0},
        {"_target_": "albumentations.Rotate", "limit": [30, 30], "p": 1},
        {"_target_": "albumentations.CoarseDropout", "p": 1},
    ]}]  # fmt: skip
    filled = with_ignored_fill(extra)
    assert [each.get("fill_mask") for each in filled[0]["transforms"]] == [0, IGNORE_INDEX, None]
    assert "fill_mask" not in extra[0]["transforms"][1]
    assert set(np.unique(augmented(filled[0]["transforms"][:1]).label)) == {0, 7}
    assert with_ignored_fill({"flip": 0.5, "extra": None}) == {"flip": 0.5, "extra": None}


def widened(array, **_):
    return array.astype(int)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ([A.Normalize()], r"Normalize gives an image of float32 \[32, 32, 3\]; expected uint8 \[32, 32, 3\]"),
        ([A.HorizontalFlip(), A.Normalize(p=0.01), A.VerticalFlip()], "Normalize gives an image of float32"),
        ([A.OneOf([A.ToGray(), A.ToFloat()], p=0.1)], r"OneOf\(ToGray, ToFloat\) gives an image of float32"),
        ([A.Compose([A.ToTensorV2()])], r"Compose\(ToTensorV2\) gives an image of torch.uint8 \[3, 32, 32\]"),
        ([A.RandomCrop(16, 16)], r"RandomCrop gives an image of uint8 \[16, 16, 3\]"),
        ([A.PadIfNeeded(64, 64, p=0.5)], r"PadIfNeeded gives an image of uint8 \[64, 64, 3\]"),
        ([A.Lambda(mask=widened)], r"Lambda gives a label of int64 \[32, 32\]"),
        ([A.VerticalFlip(), A.RandomCrop(64, 64)], "RandomCrop cannot be applied .*CropSizeError"),
        ([A.CoarseDropout3D(p=1)], "CoarseDropout3D cannot be applied"),
        ([A.GridElasticDeform((4, 4), magnitude=9)], "GridElasticDeform fills labels with class 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_by_name_before_any_sample(extra, words):
    with pytest.raises(ConfigError, match=rf"^extra: {words}") as error:
        Augment(32, extra=extra)
    assert "\n" not in str(error.value)


def test_a_detour_over_other_types_and_sizes_is_no_matter():
    for extra in (
        [A.ToFloat(), A.FromFloat(dtype="uint8")],
        [A.PadIfNeeded(40, 40, fill_mask=255), A.RandomCrop(32, 32)],
    ):
        assert Augment(32, extra=extra).size == (32, 32)


def test_what_only_some_samples_show_is_refused_when_it_is_met():
    def odd(image, **_):
        return image.astype(np.float32) if image.max() == 0 else image

    augment = Augment(32, 1, 1, extra=[A.Lambda(image=odd)])
    black = Sample(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8), "black")
    with pytest.raises(ConfigError, match=r"^extra: Lambda gives an image of float32"):
        augment(black, 0, 0, 0)
