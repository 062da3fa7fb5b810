"""A whole check of a dataset, from its lists to its pixels."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segsweep.data.check import lists
from segsweep.data.check.encodings import problems_of_values
from segsweep.data.check.images import Finding, Progress, View, count, scan
from segsweep.data.check.lists import Listed
from segsweep.data.check.present import Present, look
from segsweep.data.check.problems import Problem
from segsweep.data.check.report import Report, SplitReport
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.split import SplitDataset, some
from segsweep.errors import DataError


def check(
    data: SegmentationDataset,
    crop: tuple[int, int],
    partial: bool,
    workers: int,
    on_progress: Progress,
    faults: Sequence[DataError] = (),
) -> Report:
    """Read all lists and open all files of a dataset with `workers` processes.

    `crop` is the (H, W) of the training crop. In a `partial` dataset, missing splits and samples without any
    file are only noted, and official counts are not compared. `faults` are what was found when the dataset
    was built.

    Raises:
        DataError: no split of the dataset exists.
        UserError: a process was killed.
    """
    all_listed = [lists.read(data, name) for name in data.splits]
    absent = [listed.absent for listed in all_listed if listed.absent]
    if len(absent) == len(all_listed):
        raise DataError(*absent[0])
    problems, notes = _of_lists(data, all_listed, partial)
    places = {
        each.name: look(each, partial, lists.is_official(data, each)) for each in all_listed if each.split
    }
    left = lists.unlisted(all_listed)
    if partial:
        forgotten, cut = lists.forgotten(left, all_listed)
        problems, notes = problems + forgotten, notes + cut
    else:
        problems += _of_counts(data, all_listed, places, left)
    findings = _open(data, crop, places, workers, on_progress)
    for name, place in places.items():
        problems += [*place.problems, *(each for finding in findings[name] for each in finding.problems)]
        problems += problems_of_values(name, place.pairs, findings[name], data.encodings)
        problems += _of_sizes(data, name, place, findings[name])
        notes += [*place.notes, *_remarks(data, crop, name, findings[name], place)]
    reports = {
        name: _split_report(data, name, place, findings[name], partial) for name, place in places.items()
    }
    notes = [*data.notes, *notes, *_never(data, reports)]
    # Opening a file says more of it.
    known = {problem.file for problem in problems}
    problems += [Problem.of(fault) for fault in faults if fault.file not in known]
    # A file may be in several splits, but its problem is reported once.
    return Report(
        f"{type(data).__name__}: check of its files",
        data.classes,
        reports,
        list(dict.fromkeys(problems)),
        notes,
    )


def _of_lists(
    data: SegmentationDataset, all_listed: Sequence[Listed], partial: bool
) -> tuple[list[Problem], list[str]]:
    """Return the problems and notes that the lists alone show."""
    problems = [problem for listed in all_listed for problem in listed.problems]
    unmade = [problem for listed in all_listed for problem in listed.unmade]
    # The files of a partial dataset may be right though others are not yet made from them.
    problems += [] if partial else map(Problem.of, unmade)
    notes = [str(each) for each in unmade if partial]
    for listed in all_listed:
        if listed.absent and not partial and listed.name in _used(data):
            what = f"the split {listed.name} is not there: {listed.absent.problem}"
            problems.append(Problem(listed.absent.file, what, data.fetch or listed.absent.repair))
        elif listed.absent:
            notes.append(f"{listed.name} is not there ({listed.absent.file}); {data.fetch}")
    return problems + lists.overlaps(data, all_listed), notes


def _of_counts(
    data: SegmentationDataset,
    all_listed: Sequence[Listed],
    places: dict[str, Present],
    left: dict[str, list[Path]],
) -> list[Problem]:
    """Return the problems of splits that differ from the official ones."""
    problems = []
    for listed in (each for each in all_listed if each.split):
        stems = [path.stem for by, paths in left.items() if listed.file in by for path in paths]
        problems += lists.compare_official(data, listed, stems, places[listed.name].missing)
    return problems


def _used(data: SegmentationDataset) -> set[str]:
    """Return the splits that training and its tests would read."""
    return {*_trained(data), data.val_split, data.test_split}


def _trained(data: SegmentationDataset) -> tuple[str, ...]:
    return tuple(data.joined.get(data.train_split, (data.train_split,)))


def _open(
    data: SegmentationDataset,
    crop: tuple[int, int],
    places: dict[str, Present],
    workers: int,
    on_progress: Progress,
) -> dict[str, list[Finding]]:
    """Return the findings of each split's samples; a pair of files in several splits is opened once."""
    view = View(crop, data.palette, len(data.classes))
    pairs = {(pair.image, pair.label): pair for place in places.values() for pair in place.pairs}
    opened = dict(zip(pairs, scan(list(pairs.values()), view, workers, on_progress), strict=True))
    return {
        name: [opened[pair.image, pair.label] for pair in place.pairs]
        if place.pairs or not place.ids
        else [_drawn(place.split, index, view) for index in range(len(place.split))]
        for name, place in places.items()
    }


def _drawn(split: SplitDataset, index: int, view: View) -> Finding:
    """Return the finding of a sample that is not read from files."""
    finding = Finding()
    try:
        count(split[index].label, view, finding)
    except DataError as error:
        finding.problems.append(Problem.of(error))
    return finding


def _of_sizes(
    data: SegmentationDataset, name: str, place: Present, findings: Sequence[Finding]
) -> list[Problem]:
    """Return one problem for all images of a split whose size is not the release's."""
    others = [
        (pair.image, found.size)
        for pair, found in zip(place.pairs, findings, strict=False)
        if data.release_size and found.size not in (None, data.release_size) and not found.problems
    ]
    if not others:
        return []
    file, size = others[0]
    found_size, expected = ("x".join(map(str, each or ())) for each in (size, data.release_size))
    what = (
        f"image of {found_size} pixels (height x width): {len(others)} of {len(place.pairs)} of {name} are "
        f"not of the release's {expected}"
    )
    return [Problem(file, what, f"they are of another version, or resized: fetch the release ({data.fetch})")]


def _remarks(
    data: SegmentationDataset, crop: tuple[int, int], name: str, findings: Sequence[Finding], place: Present
) -> list[str]:
    """Return notes on what is unusual in a split but not wrong."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for finding, sample in zip(findings, place.ids, strict=True):
        for remark in finding.remarks:
            kinds[remark].append(sample)
        if finding.pixels is not None and place.split.has_truth and not finding.pixels[:-1].any():
            kinds["labels whose pixels are all ignored"].append(sample)
        elif finding.void_crop and name in _trained(data):
            h, w = crop
            kinds[f"images with a training crop of {h}x{w} that is all ignored (it trains nothing)"].append(
                sample
            )
    return [f"{name}: {len(samples)} {kind}: {some(samples)}" for kind, samples in kinds.items()]


def _split_report(
    data: SegmentationDataset, name: str, place: Present, findings: Sequence[Finding], partial: bool
) -> SplitReport:
    counted = [finding.pixels for finding in findings if finding.pixels is not None]
    pixels = np.array([np.zeros(len(data.classes) + 1, dtype=np.int64), *counted])
    official = data.official.get(name)
    return SplitReport(
        samples=len(place.ids) if partial else len(place.ids) + place.missing,
        official=official.count if official else None,
        missing=place.missing,
        pixels=pixels.sum(0),
        images=(pixels > 0).sum(0),
        sizes=sorted({finding.size for finding in findings if finding.size is not None}),
    )


def _never(data: SegmentationDataset, reports: dict[str, SplitReport]) -> list[str]:
    """Return a note on classes that training would never see."""
    trained = [reports[name].images for name in _trained(data) if name in reports]
    if not trained:
        return []
    seen = np.sum(trained, axis=0)[:-1]
    never = [name for name, images in zip(data.classes, seen, strict=True) if not images]
    return [f"never in {data.train_split}: {some(never, 20)}"] if never and seen.any() else []
