"""Videos, frame by frame."""

import struct

import cv2
import numpy as np
import pytest

from segsweep.errors import DataError
from segsweep.inference.predicting.overlay import blended, even, in_legend, legend
from segsweep.inference.predicting.video import Video, write_video


def frames(number, size=(48, 64)):
    """A bright square that moves over grey."""
    for index in range(number):
        frame = np.full((*size, 3), 90, np.uint8)
        frame[8:32, index : index + 24] = [250, 200 - index, 40]
        yield frame


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "clip.mp4", frames(12), 10)
    return tmp_path / "clip.mp4"


def decoded(path):
    """All frames of a file, by OpenCV alone."""
    capture, found = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        found.append(read[1][..., ::-1])
    capture.release()
    return found


def test_frames_come_in_turn_and_only_those_that_are_wanted(clip):
    video = Video(clip)
    assert (video.size, video.fps, video.named) == ((48, 64), 10, 12)
    expected = decoded(clip)
    found = list(video.frames(lambda index: index % 3 == 1))
    assert [index for index, _ in found] == list(range(12))
    for index, image in found:
        if index % 3 == 1:
            assert np.array_equal(image, expected[index])
        else:
            assert image is None
    assert np.abs(expected[5].astype(int) - list(frames(6))[5]).mean() < 6  # as written, RGB


def test_equal_frames_are_equal_bytes(clip, tmp_path):
    write_video(tmp_path / "again.mp4", frames(12), 10)
    assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()


def test_frames_are_turned_as_the_file_says(clip, tmp_path):
    """By the matrix of its track header, as phones write it (ISO/IEC 14496-12, section 8.3.2)."""
    content = bytearray(clip.read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    video = Video(tmp_path / "turned.mp4")
    assert video.size == (64, 48)
    (_, image), *_ = video.frames()
    assert np.array_equal(image, np.rot90(decoded(clip)[0], -1))


def test_a_file_that_is_cut_short_is_noticed(tmp_path):
    """AVI names its frames at its beginning, so that what is there can be read."""
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(tmp_path / "whole.avi"), code, 10, (64, 48))
    for frame in frames(30):
        writer.write(frame)
    writer.release()
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    for name, is_cut in (("whole.avi", False), ("cut.avi", True)):
        video = Video(tmp_path / name)
        assert video.is_cut_short(len(list(video.frames()))) == is_cut


def test_what_is_no_video_is_refused_in_one_line(tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "gone.mp4"):
        with pytest.raises(DataError) as error:
            Video(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_an_overlay_is_half_image_half_colour_above_a_legend():
    palette = [(200, 0, 0), (0, 100, 0), (0, 0, 50)]
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    mask = rng.integers(0, 3, (20, 31), dtype=np.uint8)
    expected = (image.astype(float) + np.array(palette)[mask]) / 2
    assert np.abs(blended(image, mask, palette) - expected).max() <= 0.5
    assert in_legend([1, 5000, 0, 6000]) == [3, 1]
    strip = legend(31, [1, 2], ["a", "b", "c"], palette)
    assert strip.shape[1:] == (31, 3)
    shown = {tuple(colour) for colour in strip.reshape(-1, 3).tolist()}
    assert {(0, 100, 0), (0, 0, 50)} <= shown
    assert (200, 0, 0) not in shown
    assert even(image).shape == (20, 32, 3)
    assert np.array_equal(even(image)[:, :31], image)
