"""Image files of every kind, as a network sees them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from segsweep.errors import DataError
from segsweep.inference.image_input import as_array
from segsweep.inference.picture_file import read_picture

TURNS = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1), 8: np.rot90}


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Smooth, so that JPEG changes little, and different in each corner."""
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 6, columns * 4, (rows + columns) * 2], -1).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turn", TURNS)
def test_images_are_turned_upright_and_it_is_said(tmp_path, scene, suffix, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(scene).save(tmp_path / f"a.{suffix}", exif=exif)
    image, notes = read_picture(tmp_path / f"a.{suffix}")
    expected = TURNS[turn](scene)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 8
    assert notes == (() if turn == 1 else (f"EXIF orientation {turn}: turned upright, as its outputs are",))
    assert np.array_equal(as_array(tmp_path / f"a.{suffix}"), image), "in a notebook too"
    assert np.array_equal(as_array(Image.open(tmp_path / f"a.{suffix}")), image)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_sixteen_bits_the_upper_eight_are_used(tmp_path, scene, suffix):
    """Of colours and of greys; what is below them is noise here."""
    deep = scene.astype(np.uint16) * 256 + np.arange(60, dtype=np.uint16)[:, None]
    for name, values in (("colour", deep[..., ::-1]), ("grey", deep[..., 0])):
        cv2.imwrite(str(tmp_path / f"{name}.{suffix}"), values)
    image, notes = read_picture(tmp_path / f"colour.{suffix}")
    assert np.array_equal(image, scene)
    assert notes == ("16 bits a channel: the upper 8 are used",)
    image, notes = read_picture(tmp_path / f"grey.{suffix}")
    assert np.array_equal(image, np.repeat(scene[..., :1], 3, -1))
    assert "16 bits a channel: the upper 8 are used" in notes


@pytest.mark.parametrize(
    ("mode", "suffix", "note"),
    [
        ("RGBA", "png", "alpha: left out"),
        ("CMYK", "tif", "CMYK: converted to RGB without a colour profile"),
        ("L", "png", "grey: read as three equal channels"),
        ("LA", "png", "alpha: left out"),
        ("1", "png", "black and white: read as three equal channels"),
        ("P", "png", None),
    ],
)
def test_other_kinds_are_pillows_conversion(tmp_path, scene, mode, suffix, note):
    picture = Image.fromarray(scene).convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(scene[..., 0]))
    picture.save(tmp_path / f"a.{suffix}")
    image, notes = read_picture(tmp_path / f"a.{suffix}")
    assert np.array_equal(image, np.array(picture.convert("RGB")))
    assert notes == ((note,) if note else ())


def test_values_without_a_scale_and_damaged_files_are_refused_in_one_line(tmp_path, scene):
    Image.fromarray(scene[..., 0].astype(np.float32)).save(tmp_path / "floats.tif")
    Image.fromarray(scene[..., 0].astype(np.int32)).save(tmp_path / "wide.tif")
    Image.fromarray(scene).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    for name in ("floats.tif", "wide.tif", "cut.png", "text.jpg", "gone.png"):
        with pytest.raises(DataError) as error:
            read_picture(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(error.value)


def test_a_missing_file_is_on_no_splits_list(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.png: no such file$"):
        as_array(tmp_path / "nothing.png")
