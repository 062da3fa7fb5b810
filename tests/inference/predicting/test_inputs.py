"""The files that words of a command line name."""

from pathlib import Path

import pytest
from PIL import Image

from segsweep.errors import UserError
from segsweep.inference.predicting.inputs import find_inputs


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Images and videos in folders, beside what is none, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/b.JPG", "photos/a/1.png", "photos/a/2.png", "photos/clip.mp4", "other/1.png",
                 "photos/notes.txt", "photos/.hidden/3.png", "photos/out/masks/b.png", "odd"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def found(*words, out="photos/out"):
    return [(each.path.as_posix(), each.name) for each in find_inputs(words, Path(out))]


def test_a_folder_is_all_below_it_but_what_is_hidden_or_an_output(photos):
    assert found("photos") == [
        ("photos/a/1.png", "a/1"), ("photos/a/2.png", "a/2"), ("photos/b.JPG", "b"),
        ("photos/clip.mp4", "clip"),
    ]  # fmt: skip
    assert [each.is_video for each in find_inputs(["photos"], photos / "photos/out")] == [False] * 3 + [True]


def test_patterns_are_ours_to_expand_and_a_file_is_taken_as_it_is(photos):
    assert found("photos/*/[12].png") == [("photos/a/1.png", "1"), ("photos/a/2.png", "2")]
    assert found(f"{photos}/photos/**/1.png") == [(f"{photos}/photos/a/1.png", "1")]
    assert found("odd", "photos/b.JPG") == [("odd", "odd"), ("photos/b.JPG", "b")]


def test_a_file_that_is_named_twice_is_one_input(photos):
    assert found("photos/b.JPG", "photos", f"{photos}/photos/*.JPG")[0] == ("photos/b.JPG", "b")
    assert len(found("photos/b.JPG", "photos", f"{photos}/photos/*.JPG")) == 4


def test_no_two_inputs_have_one_name(photos):
    """The shortest name that is no other's, and the same one if their order changes."""
    Image.new("RGB", (4, 4)).save(photos / "photos/a/1.jpg")
    names = dict(found("photos", "other"))
    assert names["photos/a/1.png"] == "a/1.png"
    assert names["photos/a/1.jpg"] == "a/1.jpg"
    assert names["photos/a/2.png"] == "a/2"
    names = dict(found("photos/a/1.png", "other/1.png"))
    assert names == {"photos/a/1.png": "a/1.png", "other/1.png": "other/1.png"}
    assert len(set(dict(found("photos/a", "other", "photos")).values())) == 6


def test_a_folder_in_out_is_not_said_to_be_without_images(photos):
    for out in ("photos", "photos/a"):
        with pytest.raises(
            UserError, match=f"photos/a: this folder is in {out}, where predictions go; give out="
        ):
            found("photos/a", out=out)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("nothing", "nothing: no such file or folder"),
        ("photos/*.tif", "photos/*.tif: no file matches"),
        ("photos/.hidden/empty", "empty: no image or video in this folder"),
    ],
)
def test_what_names_nothing_is_a_mistake(photos, word, line):
    (photos / "photos/.hidden/empty").mkdir()
    with pytest.raises(UserError) as error:
        find_inputs([word], photos / "out")
    assert line in str(error.value)
    assert "\n" not in str(error.value)
