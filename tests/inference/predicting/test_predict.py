"""`segsweep predict`: what it writes, and that it goes on where it was stopped."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segsweep import builders, cli
from segsweep.data.labels import palette_image
from segsweep.evaluation.strategies import Strategy
from segsweep.files import locked
from segsweep.inference.load import load
from segsweep.inference.predicting.outputs_journal import JOURNAL
from segsweep.inference.predicting.video import write_video
from segsweep.inference.trained import Trained
from tests.support.forks import FORKS


@pytest.fixture(scope="module")
def images(trained_run, tmp_path_factory) -> Path:
    """The test split of the run as PNG files."""
    folder = tmp_path_factory.mktemp("images")
    for sample in builders.build_dataset(trained_run.config()).split("test"):
        Image.fromarray(sample.image).save(folder / f"{sample.id}.png")
    return folder


@pytest.fixture(scope="module")
def clip(images) -> Path:
    """A video of 24 frames beside the images, of another size than they."""
    pictures = [np.array(Image.open(path)) for path in sorted(images.glob("*.png"))]
    frames = [cv2.resize(np.roll(pictures[i % 6], 3 * i, 1), (80, 60)) for i in range(24)]
    path = images.parent / "clip.mp4"
    write_video(path, frames, 12)
    return path


def predict(run, *arguments, status=0):
    words = [str(word) for word in (run.path, *arguments, "device=cpu")]
    assert cli.run(["predict", *words]) == status


def areas(out: Path) -> dict[tuple[str, str], dict[str, tuple[int, float]]]:
    """areas.csv: by file and frame, of each class the pixels and their share."""
    found: dict[tuple[str, str], dict[str, tuple[int, float]]] = {}
    with (out / "areas.csv").open() as file:
        for row in csv.DictReader(file):
            counted = int(row["pixels"]), float(row["share"])
            found.setdefault((row["file"], row["frame"]), {})[row["class"]] = counted
    return found


def content(out: Path) -> dict[str, bytes]:
    """All that is written, except the order in which it was."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in (JOURNAL, ".lock")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def stamps(out: Path) -> dict[str, int]:
    return {name: (out / name).stat().st_mtime_ns for name in content(out) if "/" in name}


def test_of_the_centre_alone_only_that_is_counted(trained_run, images, tmp_path):
    """What the strategy does not see is ignored (255), in the mask and in the areas."""
    picture = sorted(images.glob("*.png"))[0]
    crop = ("test=center_crop", "test.center_crop.crop=[20,30]")
    predict(trained_run, picture, *crop, "overlay=true", f"out={tmp_path / 'out'}")
    mask = np.array(Image.open(tmp_path / "out" / "masks" / picture.name))
    seen = mask[mask.shape[0] // 2 - 10 :, mask.shape[1] // 2 - 15 :][:20, :30]
    assert (seen < 4).all()
    assert np.count_nonzero(mask != 255) == seen.size
    (counted,) = areas(tmp_path / "out").values()
    assert [pixels for pixels, _ in counted.values()] == np.bincount(seen.ravel(), minlength=4).tolist()
    shares = load(trained_run.path, "cpu").predict(picture, Strategy(crop=(20, 30))).shares()
    assert sum(shares.values()) == pytest.approx(seen.size / mask.size)


def test_a_strategy_is_prepared_once_for_many_images(trained_run, images, tmp_path, monkeypatch):
    made = []
    original = Trained.predictor
    monkeypatch.setattr(Trained, "predictor", lambda *given: made.append(1) or original(*given))
    predict(trained_run, images, f"out={tmp_path / 'out'}")
    network = load(trained_run.path, "cpu")
    for _ in range(2):
        network.predict(sorted(images.glob("*.png"))[0])
    assert len(made) == 2, "one for the command, one for the notebook"


@pytest.mark.parametrize("test", ["single", "flip"])
def test_masks_are_those_that_the_test_pass_kept(trained_run, images, tmp_path, test):
    """Byte for byte, and their areas what numpy counts."""
    predict(trained_run, images, f"out={tmp_path / 'out'}", f"test={test}")
    kept = {path.name: path for path in (trained_run.path / "predictions" / test).glob("*.png")}
    masks = {path.name: path for path in (tmp_path / "out" / "masks").glob("*.png")}
    assert len(masks) == 6
    counted = areas(tmp_path / "out")
    for name, path in masks.items():
        assert path.read_bytes() == kept[name].read_bytes()
        with Image.open(path) as mask:
            assert mask.mode == "P"
            stored = np.array(mask)
        found = list(counted[str(images / name), ""].values())
        assert [pixels for pixels, _ in found] == [(stored == k).sum() for k in range(4)]
        assert [share for _, share in found] == pytest.approx(
            [(stored == k).mean() for k in range(4)], abs=1e-6
        )


def test_overlays_and_probabilities_are_of_the_same_prediction(trained_run, images, tmp_path):
    first = sorted(images.glob("*.png"))[0]
    predict(trained_run, first, f"out={tmp_path / 'out'}", "overlay=true", "probabilities=true")
    found = load(trained_run.path, "cpu").predict(first, probabilities=True)
    with np.load(tmp_path / "out" / "probabilities" / f"{first.stem}.npz") as kept:
        assert kept["probabilities"].dtype == np.uint8
        assert np.abs(kept["probabilities"] / 255 - found.probabilities).max() <= 0.5 / 255 + 1e-6
    overlay = np.array(Image.open(tmp_path / "out" / "overlays" / f"{first.stem}.jpg"))
    height, width = found.labels.shape
    assert overlay.shape[0] > height  # the legend
    assert overlay.shape[1] == width
    assert np.abs(overlay[:height].astype(int) - np.array(found.overlay())).mean() < 8  # of JPEG


@pytest.mark.parametrize("batch_size", [1, 5])
def test_frames_of_a_video_are_its_images(trained_run, clip, tmp_path, batch_size):
    """Each frame's mask is that of the frame as OpenCV decodes it."""
    out = tmp_path / "out"
    predict(trained_run, clip, f"out={out}", "overlay=true", f"batch_size={batch_size}")
    network, capture = load(trained_run.path, "cpu"), cv2.VideoCapture(str(clip))
    counted = areas(out)
    for index in range(24):
        _, frame = capture.read()
        expected = network.predict(np.ascontiguousarray(frame[..., ::-1])).labels
        mask = np.array(Image.open(out / "masks" / "clip" / f"{index:06d}.png"))
        assert (mask == expected).mean() > (0.999 if batch_size > 1 else 0.9999999)
        pixels = [number for number, _ in counted[str(clip), str(index)].values()]
        assert pixels == [(mask == k).sum() for k in range(4)]
    overlay = cv2.VideoCapture(str(out / "overlays" / "clip.mp4"))
    assert overlay.get(cv2.CAP_PROP_FRAME_COUNT) == 24
    assert overlay.get(cv2.CAP_PROP_FPS) == 12
    assert len(counted) == 24


def test_a_bad_file_costs_a_line_and_the_status_and_nothing_else(
    trained_run, images, tmp_path, caplog, capfd
):
    photos = tmp_path / "photos"
    shutil.copytree(images, photos)
    (photos / "a bad one.jpg").write_text("no image")
    (photos / "bad.mp4").write_text("no video")
    out = tmp_path / "out"
    predict(trained_run, photos, f"out={out}", status=1)
    printed = capfd.readouterr()
    lines = [line for line in caplog.messages if line.startswith(str(photos))]
    assert [line.partition(": ")[0] for line in lines] == [
        str(photos / "bad.mp4"), str(photos / "a bad one.jpg"),
    ]  # fmt: skip
    assert printed.out.endswith("6 images and frames predicted; 2 inputs could not be read\n")
    assert json.loads((out / "predictions.json").read_text())["failed"] == lines
    assert len(list(out.glob("masks/*.png"))) == 6
    assert len(areas(out)) == 6


def test_large_images_are_seen_through_windows_that_fit(trained_run, images, tmp_path, capfd):
    """As the same windows are under `test.single.window`."""
    first = sorted(images.glob("*.png"))[0]
    large = np.array(Image.open(first).resize((640, 400)))
    Image.fromarray(large).save(tmp_path / "large.png")
    predict(trained_run, first, tmp_path / "large.png", f"out={tmp_path / 'out'}", "memory=0.01")
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "windows" in line]
    height, width = line.split("windows of ")[1].split(" ")[0].split("x")
    assert line.startswith(f"{tmp_path / 'large.png'}: 400x640 pixels: ")
    window = f"test.single.window=[{height},{width}]"
    predict(trained_run, tmp_path / "large.png", f"out={tmp_path / 'own'}", window)
    predict(trained_run, tmp_path / "large.png", f"out={tmp_path / 'whole'}", "window=null")
    masks = {name: (tmp_path / name / "masks/large.png").read_bytes() for name in ("out", "own", "whole")}
    assert masks["out"] == masks["own"]
    assert masks["out"] != masks["whole"]


def test_what_changed_is_made_again_and_nothing_else(trained_run, images, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(images, photos)
    predict(trained_run, photos, f"out={out}")
    made, ids = stamps(out), sorted(path.stem for path in photos.glob("*.png"))
    Image.fromarray(255 - np.array(Image.open(photos / f"{ids[1]}.png"))).save(photos / f"{ids[1]}.png")
    (out / "masks" / f"{ids[2]}.png").unlink()
    predict(trained_run, photos, f"out={out}")
    again = {name for name, stamp in stamps(out).items() if made.get(name) != stamp}
    assert again == {f"masks/{ids[1]}.png", f"masks/{ids[2]}.png"}
    assert capsys.readouterr().out.endswith("2 images and frames predicted, 4 were there already\n")
    made = stamps(out)
    predict(trained_run, photos, f"out={out}", "test=flip")
    assert all(stamps(out)[name] != stamp for name, stamp in made.items())


def start(arguments: list[str]) -> None:
    os._exit(cli.run(arguments))


def in_a_process(*arguments: str) -> multiprocessing.Process:
    process = FORKS.Process(target=start, args=(["predict", *arguments],))
    process.start()
    return process  # type: ignore[return-value]


@pytest.mark.parametrize("batch_size", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_and_typed_again_it_ends_with_the_same_bytes(trained_run, images, clip, tmp_path, batch_size):
    """After a signal that no program can handle, in the middle of the video; nothing is made twice."""
    options = ["overlay=true", "probabilities=true", f"batch_size={batch_size}", "device=cpu"]
    words = [str(trained_run.path), str(images), str(clip), *options]
    whole, out = tmp_path / "whole", tmp_path / "out"
    process = in_a_process(*words, f"out={whole}")
    process.join()
    assert process.exitcode == 0
    process = in_a_process(*words, f"out={out}")
    while not (out / "masks/clip/000010.png").exists():
        assert process.is_alive()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before, lines = stamps(out), (out / JOURNAL).read_bytes().splitlines()
    assert 14 <= len(lines) < 30
    assert not (out / "areas.csv").exists()
    process = in_a_process(*words, f"out={out}")
    process.join()
    assert process.exitcode == 0
    assert content(out) == content(whole)
    written = {name for line in lines for name in json.loads(line)["outputs"]}
    assert {name: stamps(out)[name] for name in written} == {name: before[name] for name in written}


def test_two_processes_do_not_write_into_one_folder(trained_run, images, tmp_path, capfd):
    out = tmp_path / "out"
    with locked(out / ".lock", wait=False, places="out=…"):
        predict(trained_run, images, f"out={out}", status=2)
    assert f"{out}: another process is predicting into it" in capfd.readouterr().err
    predict(trained_run, images, f"out={out}")


MISTAKES = {
    "test: chooses single and flip; expected one strategy, as test=ms_flip": ("test=[single,flip]",),
    "memory=0: expected a positive number": ("memory=0",),
    "batch_size=1.5: expected a positive number": ("batch_size=1.5",),
    "window=[3,4]: expected auto or null": ("window=[3,4]",),
    "device=tpu: expected cpu, cuda": ("device=tpu",),
    "nothing.png: no such file or folder": ("nothing.png",),
    "overlays: no such option; did you mean overlay": ("overlays=true",),
    "test=singel: ": ("test=singel",),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(
    trained_run, images, tmp_path, monkeypatch, capfd, line
):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["predict", str(trained_run.path), str(images), *MISTAKES[line]]) == 2
    error = capfd.readouterr().err
    assert line in error
    assert error.startswith("segsweep: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_not_written_into(trained_run, images, tmp_path, capfd):
    """A data set's masks/ would be overwritten."""
    (tmp_path / "masks").mkdir()
    palette_image(np.zeros((4, 4), np.uint8), [(0, 0, 0)]).save(tmp_path / "masks" / "0.png")
    predict(trained_run, images, f"out={tmp_path}", status=2)
    assert "holds files that segsweep predict did not write" in capfd.readouterr().err
    assert len(list(tmp_path.rglob("*.png"))) == 1
