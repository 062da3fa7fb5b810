"""Find which of a split's samples can be opened, and which of the others are a problem.

A partial dataset is what somebody fetched of a whole one, with its lists complete or cut to what was fetched:
a sample of a complete list without any file was not fetched, but one that a cut list names is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsweep.data.check.images import Pair
from segsweep.data.check.lists import Listed, file_parts
from segsweep.data.check.problems import Problem, unusable
from segsweep.data.split import FileSplit, SplitDataset

MISSING = "is missing"


@dataclass
class Present:
    """The samples of a split whose files exist."""

    split: SplitDataset
    ids: list[str] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    """Their files, if samples are files."""
    missing: int = 0
    """Samples with a file that is missing or may not be read."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look(listed: Listed, partial: bool, list_is_whole: bool) -> Present:
    """Look for the files of a split, once for each sample."""
    assert listed.split is not None
    present = Present(listed.split)
    parts = file_parts(listed.split)
    if parts is None:
        present.ids = listed.ids
        return present
    lost: list[tuple[list[str], list[Problem]]] = []
    for sample, pair in _pairs(parts).items():
        files = [file for file in (pair.image, pair.label) if file is not None]
        faults = [fault for fault in map(unusable, files) if fault]
        if faults:
            lost.append((files, faults))
        else:
            present.ids.append(sample)
            present.pairs.append(pair)
    present.missing = len(lost)
    _judge(present, lost, partial, list_is_whole, listed)
    return present


def _pairs(parts: Sequence[FileSplit]) -> dict[str, Pair]:
    """Return the files of each sample."""
    return {
        str(i): Pair(str(image), str(label) if part.has_truth else None, part.label_format)
        for part in parts
        for i, image, label in zip(
            part.ids, part.images, part.labels if part.has_truth else part.ids, strict=True
        )
    }


def _judge(
    present: Present,
    lost: Sequence[tuple[list[str], list[Problem]]],
    partial: bool,
    list_is_whole: bool,
    listed: Listed,
) -> None:
    """Sort missing samples into problems and, in a partial dataset, those that were not fetched."""
    whole = len(lost) + len(present.ids)
    not_fetched = 0
    folders, lost = _without_folder(lost, listed.name)
    present.problems += folders
    for files, faults in lost:
        gone = all(fault.problem == MISSING for fault in faults)
        if partial and gone and (2 * len(lost) > whole or (list_is_whole and len(faults) == len(files))):
            not_fetched += 1
        else:
            present.problems += _lost(faults, gone and len(faults) == len(files) == 2, listed.file)
    if not_fetched:
        present.notes.append(f"{listed.name}: {not_fetched} of {whole} listed samples are not there")


def _without_folder(
    lost: Sequence[tuple[list[str], list[Problem]]], name: str
) -> tuple[list[Problem], list[tuple[list[str], list[Problem]]]]:
    """Return a problem for each missing label folder whose images exist, and the remaining samples."""
    alone: dict[Path, int] = {}
    others = []
    for files, faults in lost:
        folder = Path(files[-1]).parent
        if len(files) == 2 and [fault.file for fault in faults] == files[1:] and not folder.is_dir():
            alone[folder] = alone.get(folder, 0) + 1
        else:
            others.append((files, faults))
    what = "no such folder, though {} images of {} are there whose labels it should hold"
    repair = "fetch the labels too"
    return [Problem(str(at), what.format(n, name), repair) for at, n in alone.items()], others


def _lost(faults: list[Problem], both_gone: bool, source: str) -> list[Problem]:
    """Return the problems of a sample; one if image and label are both missing."""
    if both_gone:
        image, label = faults
        return [image._replace(problem=f"{MISSING} as its label {label.file} is, though {source} lists it")]
    what = f"{MISSING}, though {source} lists it"
    return [fault._replace(problem=what) if fault.problem == MISSING else fault for fault in faults]
