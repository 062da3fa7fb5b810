"""Image and label files of every kind, whole and damaged, against Pillow."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from segsweep.data.labels import ColourLabels, plain, read_indices
from segsweep.data.sample import IGNORE_INDEX, SMALLEST_HUGE, image_size, read_image
from segsweep.errors import DataError
from tests.shared import shared

ORIENTED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""An EXIF block that says: turn by 90 degrees to show."""


def picture(mode: str = "RGB") -> Image.Image:
    """Smooth, with some noise, 101x77: no multiple of a JPEG's blocks."""
    y, x = np.mgrid[:77, :101]
    smooth = np.stack([x * 2, y * 3, x + y], axis=2)
    noise = np.random.default_rng(0).integers(-9, 10, smooth.shape)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)).convert(mode)


def stored(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("plain.jpg", "RGB", {}),
        ("colour444.jpeg", "RGB", {"subsampling": 0, "quality": 95}),
        ("colour422.JPG", "RGB", {"subsampling": 1, "quality": 40}),
        ("progressive.jpg", "RGB", {"progressive": True}),
        ("restarts.jpg", "RGB", {"restart_marker_rows": 1}),
        ("oriented.jpg", "RGB", {"exif": ORIENTED}),
        ("grey.jpg", "L", {}),
        ("cmyk.jpg", "CMYK", {}),
        ("plain.png", "RGB", {}),
        ("oriented.png", "RGB", {"exif": ORIENTED}),
        ("transparent.png", "RGBA", {}),
        ("one_colour_transparent.png", "RGB", {"transparency": (1, 2, 3)}),
        ("grey.png", "L", {}),
        ("palette.png", "P", {}),
        ("palette_transparent.png", "P", {"transparency": 3}),
        ("png.jpg", "RGB", {"format": "PNG"}),
        ("jpeg.png", "RGB", {"format": "JPEG"}),
        ("other.bmp", "RGB", {}),
    ],
)
def test_images_are_read_as_stored_to_the_bit(tmp_path, name, mode, options):
    picture(mode).save(tmp_path / name, **options)
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image, stored(tmp_path / name))
    assert (image.dtype, image.shape, image.flags.c_contiguous) == (np.uint8, (77, 101, 3), True)
    assert image_size(tmp_path / name) == (77, 101), "stored, whatever the EXIF says"


@pytest.mark.parametrize(
    ("mode", "name"), [("I;16", "deep.png"), ("LA", "grey_alpha.png"), ("1", "bits.png")]
)
def test_images_of_other_than_8_bits_are_named(tmp_path, mode, name):
    image = Image.fromarray(np.full((5, 7), 3000, np.uint16)) if mode == "I;16" else picture(mode)
    image.save(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: image of mode {mode}; expected 8 bits a channel") as error:
        read_image(tmp_path / name)
    assert "\n" not in str(error.value)


def png(bits: int, kind: int, channels: int, size: tuple[int, int] = (5, 7)) -> bytes:
    """A PNG of noise, any depth and colour type (2 colours, 4 grey and alpha, 6 both, 0 grey), by hand."""
    h, w = size
    row = -(-w * channels * bits // 8)
    pixels = np.random.default_rng(0).integers(0, 256, (h, row), dtype=np.uint8)
    header = struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(b"\0" + bytes(p) for p in pixels))))
    body = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize(("name", "kind", "channels"), [("rgb", 2, 3), ("rgba", 6, 4), ("grey_alpha", 4, 2)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_images_of_16_bits_are_named_where_pillow_would_halve_them(tmp_path, name, kind, channels, suffix):
    file = tmp_path / f"{name}.{suffix}"
    file.write_bytes(png(16, kind, channels))
    with pytest.raises(DataError, match=rf"{file}: image of 16 bits a channel; expected 8 bits") as error:
        read_image(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["deep.tif", "deep_alpha.tif", "deep.ppm", "deep.jp2"])
def test_other_kinds_of_16_bits_are_named(tmp_path, name):
    channels = 4 if "alpha" in name else 3
    deep = np.random.default_rng(0).integers(0, 4096, (64, 64, channels)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / name), deep)
    with pytest.raises(DataError, match=rf"{name}: image of (16|12) bits a channel"):
        read_image(tmp_path / name)
    assert cv2.imwrite(str(tmp_path / name), (deep >> 4).astype(np.uint8))
    np.testing.assert_array_equal(read_image(tmp_path / name), stored(tmp_path / name))


def test_floating_point_images_are_named(tmp_path):
    Image.fromarray(np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif: image of mode F; expected 8 bits a channel"):
        read_image(tmp_path / "float.tif")


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_images_of_few_bits_are_stretched_and_such_labels_named(tmp_path, bits):
    file = tmp_path / "few.png"
    file.write_bytes(png(bits, 0, 1))
    np.testing.assert_array_equal(read_image(file), stored(file))
    with pytest.raises(DataError, match=rf"few\.png: label of {bits} bits a grey value; expected"):
        read_indices(file)


def test_images_too_large_to_open_safely_are_named_by_every_reader(tmp_path, monkeypatch):
    """The same limit where the fast readers would have no limit at all."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    noise = np.random.default_rng(0).integers(0, 256, (100, 101, 3), dtype=np.uint8)
    assert 2 * 5_000 < 100 * 101
    for name in ("large.png", "large.jpg", "large.bmp"):
        file = tmp_path / name
        Image.fromarray(noise).save(file)
        file.write_bytes(file.read_bytes() + bytes(SMALLEST_HUGE))  # as large a file as a real one has
        for reader in (read_image, image_size, read_indices):
            with pytest.raises(DataError, match=rf"{name}: image of 0 megapixels, more than the 0 that are"):
                reader(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6_000)  # above the first limit: Pillow warns, we read
    assert read_image(tmp_path / "large.bmp").shape == (100, 101, 3)


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_file_cut_short_is_named_and_never_half_an_image(tmp_path, name, share):
    picture().save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=name) as error:
        read_image(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_png_with_a_changed_byte_is_named(tmp_path):
    file = tmp_path / "changed.png"
    picture().save(file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"changed\.png"):
        read_image(file)


@pytest.mark.parametrize("name", ["none.jpg", "none.png"])
def test_missing_and_empty_files_are_named(tmp_path, name):
    with pytest.raises(DataError, match=f"{name}: no such file"):
        read_image(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=f"{name}: is not an image file"):
        read_image(tmp_path / name)


def test_label_files_give_what_they_store(tmp_path):
    values = np.arange(77 * 101).reshape(77, 101).astype(np.uint8)
    grey = Image.fromarray(values)
    palette = Image.fromarray(values)
    palette.putpalette(list(range(255, -1, -1)) * 3)
    grey.save(tmp_path / "grey.png")
    palette.save(tmp_path / "palette.png")
    few = Image.fromarray(values % 4)
    few.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6])
    few.save(tmp_path / "two_bits.png", bits=2)
    for name, expected in (("grey", values), ("palette", values), ("two_bits", values % 4)):
        np.testing.assert_array_equal(read_indices(tmp_path / f"{name}.png"), expected)


@pytest.mark.parametrize("name", ["colour.png", "deep.png", "cut.png"])
def test_label_files_of_another_kind_are_named(tmp_path, name):
    content = io.BytesIO()
    deep = Image.fromarray(np.full((5, 7), 300, np.uint16))
    {"colour.png": picture(), "deep.png": deep, "cut.png": picture("L")}[name].save(content, format="PNG")
    cut = 40 if name == "cut.png" else 0
    (tmp_path / name).write_bytes(content.getvalue()[: len(content.getvalue()) - cut])
    with pytest.raises(DataError, match=name) as error:
        plain(11).read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_colours_are_looked_up_and_all_others_named(tmp_path):
    rng = np.random.default_rng(0)
    colours = {(0, 0, 0): IGNORE_INDEX, (128, 0, 0): 0, (0, 128, 0): 1, (128, 128, 0): 2, (4, 200, 3): 3}
    chosen = rng.integers(0, len(colours), (40, 50))
    image = np.array(list(colours), dtype=np.uint8)[chosen]
    Image.fromarray(image).save(tmp_path / "ok.png")
    label = ColourLabels(colours).read(tmp_path / "ok.png")
    np.testing.assert_array_equal(label, np.array(list(colours.values()), dtype=np.uint8)[chosen])
    for wrong in ((128, 128, 3), (4, 128, 3), (1, 0, 0), (255, 255, 255)):
        image[3, 5] = wrong
        Image.fromarray(image).save(tmp_path / "wrong.png")
        with pytest.raises(DataError, match=rf"wrong\.png: colour \({wrong[0]}, {wrong[1]}.*1 pixels"):
            ColourLabels(colours).read(tmp_path / "wrong.png")


def test_camvids_own_files_are_read_as_pillow_reads_them():
    root = shared("data/camvid")
    for file in sorted((root / "train").glob("*.jpg"))[::40]:
        np.testing.assert_array_equal(read_image(file), stored(file))
        label = root / "trainannot" / f"{file.stem}.png"
        np.testing.assert_array_equal(read_indices(label), np.asarray(Image.open(label)))
