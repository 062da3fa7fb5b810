"""An image and a video of real sizes: memory that does not grow with them, and a command that is killed."""

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segsweep import cli
from segsweep.data.sets.shapes_draw import draw
from segsweep.inference.predicting.outputs_journal import JOURNAL
from segsweep.inference.predicting.video import write_video
from tests.support.forks import FORKS

pytestmark = pytest.mark.slow
FRAMES = 300


def start(arguments: list[str], peak: Path) -> None:
    status = cli.run(arguments)
    peak.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    os._exit(status)


def predicting(run, peak: Path, *words: object) -> multiprocessing.Process:
    arguments = ["predict", str(run.path), *map(str, words), "device=cpu"]
    process = FORKS.Process(target=start, args=(arguments, peak))
    process.start()
    return process  # type: ignore[return-value]


def peak_of(run, folder: Path, name: str, *words: object) -> float:
    """MiB that a command takes at most, libraries included."""
    process = predicting(run, folder / f"{name}.txt", *words, f"out={folder / name}")
    process.join()
    assert process.exitcode == 0
    return float((folder / f"{name}.txt").read_text())


def scene(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.ascontiguousarray(cv2.resize(draw(np.random.default_rng(seed), 96, 160, 6, 0)[0], size[::-1]))


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A 4K image, a small one, and videos of 300 and of 20 frames."""
    folder = tmp_path_factory.mktemp("large")
    Image.fromarray(scene((2160, 3840), 0)).save(folder / "4k.png")
    Image.fromarray(scene((240, 320), 0)).save(folder / "small.png")
    frames = [np.roll(scene((240, 320), 1), 4 * index, 1) for index in range(FRAMES)]
    write_video(folder / "long.mp4", frames, 25)
    write_video(folder / "short.mp4", frames[:20], 25)
    return folder


def test_memory_is_bounded(trained_run, large, tmp_path):
    """A 4K image takes what `memory` says and some maps of its own size; 300 frames take what 20 do."""
    small = peak_of(trained_run, tmp_path, "small", large / "small.png")
    whole = peak_of(trained_run, tmp_path, "whole", large / "4k.png", "window=null")
    windows = peak_of(trained_run, tmp_path, "windows", large / "4k.png", "memory=0.125")
    maps = 2160 * 3840 * (3 + 3 * 4 + 1 + 4) / 2**20  # the image, as floats, its classes, and working memory
    assert windows - small < 128 + 2 * maps
    assert windows < whole
    short = peak_of(trained_run, tmp_path, "short", large / "short.mp4", "overlay=true")
    long = peak_of(trained_run, tmp_path, "long", large / "long.mp4", "overlay=true")
    assert long - short < 30


def test_killed_half_way_and_continued(trained_run, large, tmp_path):
    """The same bytes as without; what was done is not done again."""
    words = (large / "4k.png", large / "long.mp4", "overlay=true", "memory=0.125")
    peak_of(trained_run, tmp_path, "whole", *words)
    out = tmp_path / "cut"
    process = predicting(trained_run, tmp_path / "cut.txt", *words, f"out={out}")
    while not (out / f"masks/long/{FRAMES // 2:06d}.png").exists():
        assert process.is_alive()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = len((out / JOURNAL).read_bytes().splitlines())
    assert FRAMES // 2 <= done < FRAMES
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    peak_of(trained_run, tmp_path, "cut", *words)
    names = [path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.name[0] != "."]
    assert {name: (out / name).read_bytes() for name in names if name.name != JOURNAL} == {
        name: (tmp_path / "whole" / name).read_bytes() for name in names if name.name != JOURNAL
    }
    assert len(list(out.rglob("*.png"))) == FRAMES + 1
    assert sum(path.stat().st_mtime_ns == stamp for path, stamp in before.items()) >= done
