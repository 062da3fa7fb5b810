"""Videos, read and written frame by frame by OpenCV's ffmpeg. Letters: `H`, `W` a frame."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # of damaged files this program says what is wrong
import cv2  # it reads the variable above when it first opens a video

from segsweep.errors import DataError

Frame = NDArray[np.uint8]
USUAL_FPS = 25.0
CODEC = "mp4v"  # MPEG-4 part 2: the one codec of .mp4 that OpenCV's wheels can write


class Video:
    """A video file, read from its beginning each time.

    Attributes:
        size: (H, W) of its frames, as viewers turn them.
        fps: frames a second; 25 if the file does not say.
        named: how many frames its header names; 0 if it does not. Some headers only estimate it.

    Raises:
        DataError: the file is missing, or not a video that ffmpeg reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        capture = self._open()
        fps, named = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = fps if math.isfinite(fps) and fps > 0 else USUAL_FPS
        self.named = max(0, int(named)) if math.isfinite(named) else 0
        read, frame = capture.read()
        capture.release()
        if not read:
            raise DataError(path, "no frame of this video can be read", "fetch the file again")
        self.size = frame.shape[:2]

    def _open(self) -> cv2.VideoCapture:
        if not self.path.is_file():
            raise DataError(self.path, "no such file")
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(
            cv2.utils.logging.LOG_LEVEL_SILENT
        )  # of a file that it cannot read, OpenCV warns
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        cv2.utils.logging.setLogLevel(level)
        if not capture.isOpened():
            problem = "cannot be read as a video"
            raise DataError(self.path, problem, "fetch it again, or convert it: ffmpeg -i FILE FILE.mp4")
        return capture

    def frames(
        self, wanted: Callable[[int], bool] = lambda index: True
    ) -> Iterator[tuple[int, Frame | None]]:
        """Yield the number, from 0, and the RGB image [H, W, 3] of each frame; None if it is not wanted.

        Frames are read in turn, as seeking in a video is exact for few formats.
        """
        capture = self._open()
        try:
            index = 0
            while capture.grab():
                read, frame = capture.retrieve() if wanted(index) else (True, None)
                if not read:
                    return
                yield index, None if frame is None else cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
                index += 1
        finally:
            capture.release()

    def is_cut_short(self, found: int) -> bool:
        """Whether so few frames were found that the file must be damaged, and its header no estimate."""
        return found < 0.98 * self.named - 1


def write_video(draft: Path, frames: Iterable[Frame], fps: float) -> None:
    """Encode RGB frames [H, W, 3] of one even size as MPEG-4; equal frames give equal bytes.

    Raises:
        OSError: the file cannot be written.
    """
    writer: cv2.VideoWriter | None = None
    try:
        for frame in frames:
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                code = cv2.VideoWriter.fourcc(*CODEC)
                writer = cv2.VideoWriter(str(draft), cv2.CAP_FFMPEG, code, fps, size)
                if not writer.isOpened():
                    raise OSError(f"OpenCV cannot write {CODEC} video here")
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        if writer is not None:
            writer.release()
