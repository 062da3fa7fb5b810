"""Predict files with a trained network, each once, whatever interrupts it.

Images are given to the network in batches of one size, frames of a video in batches from its beginning. As
company in a batch may change scores by rounding, batches are the same where a command continues: a batch of
which an output is missing is computed as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import segsweep
from segsweep.data.loading import runs_of_equals
from segsweep.errors import DataError
from segsweep.files import digest
from segsweep.inference.picture_file import read_picture
from segsweep.inference.predicting.inputs import Input
from segsweep.inference.predicting.labeller import Labeller
from segsweep.inference.predicting.outputs import Outputs
from segsweep.inference.predicting.outputs_journal import Entry, Journal, hash_of
from segsweep.inference.predicting.video import Video
from segsweep.inference.trained import Trained
from segsweep.runs import layout


@dataclass
class Result:
    """What came of the inputs.

    Attributes:
        made: images and frames that were predicted.
        kept: those that were there already.
        failed: what is wrong with an input, in a line that names it.
        entries: what is there of each other input: an image, or the frames of a video in turn.
    """

    made: int = 0
    kept: int = 0
    failed: dict[Input, str] = field(default_factory=dict)
    entries: dict[Input, list[Entry]] = field(default_factory=dict)

    def notes(self) -> dict[str, list[str]]:
        """Return how inputs were understood: each remark with the paths of those to which it applies."""
        found: dict[str, list[str]] = {}
        for each, entries in self.entries.items():
            for note in entries[0].notes if entries else ():
                found.setdefault(note, []).append(str(each.path))
        return found


@dataclass
class _Item:
    """An image or a frame on its way, with its entry if it is done."""

    input: Input
    frame: int | None
    work: str
    size: tuple[int, int]
    image: NDArray[np.uint8] | None
    done: Entry | None
    notes: tuple[str, ...] = ()

    def pixels(self) -> NDArray[np.uint8]:
        """Return the image [H, W, 3]; one that is done is read now, for the company of its batch."""
        return read_picture(self.input.path).image if self.image is None else self.image


class Prediction:
    """The work of one command: its inputs, the network, and where outputs are written.

    Args:
        labeller: the network under its strategy.
        outputs: where and what is written.
        fingerprint: of the network: another one makes all outputs anew.
        on_progress: called with (images and frames done, in all).
        on_failure: called with the line of each input that cannot be read, when that is found.
    """

    def __init__(
        self,
        labeller: Labeller,
        outputs: Outputs,
        fingerprint: str,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        on_failure: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.labeller, self.outputs = labeller, outputs
        self.on_progress, self.on_failure = on_progress, on_failure
        versions = segsweep.__version__, str(torch.__version__)
        forms = outputs.overlay, outputs.probabilities
        self.basis = hash_of(fingerprint, labeller.settings(), forms, versions)
        outputs.remove_drafts()
        self.journal = Journal(outputs.folder)
        self.result, self.total = Result(), 0

    def do(self, inputs: Sequence[Input]) -> Result:
        """Predict what is missing, and write the areas.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        videos: dict[Input, Video] = {}
        for each in inputs:
            with self._failing(each):
                if each.is_video:
                    videos[each] = Video(each.path)
        images = [each for each in inputs if not each.is_video]
        self.total = len(images) + sum(video.named for video in videos.values())
        self._predict(self._images(images))
        for each, video in videos.items():
            with self._failing(each):
                self._predict_video(each, video)
        self.outputs.write_areas(
            (str(each.path), entry.frame, entry.pixels)
            for each in inputs
            for entry in self.result.entries.get(each, ())
        )
        return self.result

    @contextmanager
    def _failing(self, each: Input) -> Iterator[None]:
        """Note an input that cannot be read, and go on."""
        try:
            yield
        except DataError as error:
            self.result.failed[each] = str(error)
            self.on_failure(str(error))

    def _images(self, inputs: Iterable[Input]) -> Iterator[_Item]:
        for each in inputs:
            item = None
            with self._failing(each):
                work = self._work(each)
                if done := self.journal.done(each.name, None, work):
                    item = _Item(each, None, work, done.size, None, done)
                else:
                    image, notes = read_picture(each.path)
                    item = _Item(each, None, work, image.shape[:2], image, None, notes)
            if item is not None:
                yield item

    def _predict_video(self, each: Input, video: Video) -> None:
        """Predict the frames that are missing, then encode the overlay if one is wanted."""
        work, entries = self._work(each), self.result.entries.setdefault(each, [])
        whole = self.journal.done(each.name, None, work)
        known = [
            self.journal.done(each.name, frame, work) for frame in range(whole.frames or 0 if whole else 0)
        ]
        if whole is not None and all(known):
            for entry in filter(None, known):
                self._note(each, entry, is_new=False)
        else:
            self._predict(self._frames(each, video, work))
            pixels = tuple(map(sum, zip(*(entry.pixels for entry in entries), strict=True)))
            overlay = self.outputs.overlay
            outputs = (self.outputs.write_overlay(each.name, video, len(entries), pixels),) if overlay else ()
            self.journal.add(Entry(each.name, None, work, video.size, pixels, outputs, len(entries)))
        if video.is_cut_short(len(entries)):
            problem = f"only {len(entries)} of the {video.named} frames that its header names can be read"
            raise DataError(each.path, problem, "fetch the file again; the outputs are of these frames")

    def _frames(self, each: Input, video: Video, work: str) -> Iterator[_Item]:
        size = self.labeller.batch_size

        def wanted(frame: int) -> bool:
            """Whether a frame is in a batch of which a frame is missing."""
            first = frame - frame % size
            return not all(self.journal.done(each.name, i, work) for i in range(first, first + size))

        for frame, image in video.frames(wanted):
            yield _Item(each, frame, work, video.size, image, self.journal.done(each.name, frame, work))

    def _predict(self, items: Iterable[_Item]) -> None:
        """Predict, write and note what is not done yet, in batches of successive items of one size."""
        for batch in runs_of_equals(items, self.labeller.batch_size, lambda item: item.size):
            if all(item.done for item in batch):
                for item in batch:
                    assert item.done is not None
                    self._note(item.input, item.done, is_new=False)
                continue
            labels = self.labeller([item.pixels() for item in batch], self.outputs.probabilities)
            for item, (mask, scores) in zip(batch, labels, strict=True):
                entry = item.done or self._written(item, mask, scores)
                self._note(item.input, entry, is_new=item.done is None)

    def _written(self, item: _Item, mask: NDArray[np.uint8], scores: NDArray[np.float32] | None) -> Entry:
        name, frame = item.input.name, item.frame
        places = self.outputs.write(name, frame, item.pixels(), mask, scores)
        counts = self.outputs.pixels(mask)
        entry = Entry(
            name,
            frame,
            item.work,
            item.size,
            counts,
            places,
            notes=(*item.notes, *self.labeller.remarks(item.size)),
        )
        self.journal.add(entry)
        return entry

    def _note(self, each: Input, entry: Entry, is_new: bool) -> None:
        self.result.entries.setdefault(each, []).append(entry)
        self.result.made += is_new
        self.result.kept += not is_new
        self.on_progress(self.result.made + self.result.kept, self.total)

    def _work(self, each: Input) -> str:
        """Return a hash of all that the outputs of an input depend on."""
        try:
            return hash_of(self.basis, digest(each.path))
        except OSError as error:
            raise DataError(each.path, f"cannot be read ({error.strerror})") from error


def network_hash(trained: Trained, path: str | Path) -> str:
    """Return a hash that tells a loaded network from others: its description's, and that of its files.

    Tests of a run change neither.
    """
    what, place = trained.description, Path(path)
    is_export = place.exists() and not layout.is_run(place)
    files = [place] if place.is_file() else sorted(place.rglob("*")) if is_export else []
    digests = [digest(file) for file in files if file.is_file()]
    return hash_of(what.run, what.weights.plain(), what.network, what.classes, what.palette, digests)
