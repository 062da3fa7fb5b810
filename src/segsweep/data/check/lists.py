"""Compare the lists of splits with the official release, with one another and with the folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsweep.data.check.problems import Problem
from segsweep.data.dataset import SegmentationDataset, ids_hash
from segsweep.data.listing import visible
from segsweep.data.split import FileSplit, JoinedSplit, SplitDataset, faults_collected, some
from segsweep.errors import DataError, UnpreparedError

ODD = 0.05
"""Up to this share of a folder's labels, unlisted ones are taken for an oversight, not a choice."""


@dataclass
class Listed:
    """A split, and what was found when it was read."""

    name: str
    split: SplitDataset | None = None
    problems: list[Problem] = field(default_factory=list)
    overlap: int = 0
    """How many of its samples are also in a split to evaluate on."""
    absent: Problem | None = None
    """The problem if there is nothing to read."""
    unmade: list[UnpreparedError] = field(default_factory=list)
    """Files that still have to be made from others."""

    @property
    def ids(self) -> list[str]:
        """Its sample ids, each once, in order."""
        return [] if self.split is None else list(dict.fromkeys(map(str, self.split.ids)))

    @property
    def file(self) -> str:
        """The list file, or the folder that serves as a list."""
        return self.split.source if isinstance(self.split, FileSplit) else self.name

    @property
    def parts(self) -> list[FileSplit]:
        """The splits of files that it consists of; empty if it has other parts."""
        return (file_parts(self.split) if self.split is not None else None) or []

    def file_of(self, sample: str) -> str:
        """Return the list file, or the folder that serves as one, that names a sample."""
        return next((part.source for part in self.parts if sample in part.ids), self.file)


def read(data: SegmentationDataset, name: str) -> Listed:
    """Read a split in spite of its faults."""
    with faults_collected() as faults:
        try:
            split = data.read_split(name)
        except DataError as error:
            problem = Problem.of(error)
            if not isinstance(error, UnpreparedError) and not Path(problem.file).exists():
                return Listed(name, absent=problem)
            return Listed(name, problems=[*map(Problem.of, faults), problem])
    unmade = [fault for fault in faults if isinstance(fault, UnpreparedError)]
    return Listed(name, split, [Problem.of(fault) for fault in faults if fault not in unmade], unmade=unmade)


def file_parts(split: SplitDataset) -> list[FileSplit] | None:
    """Return the parts of a split of files, or the split itself; None if it does not consist of files."""
    if isinstance(split, FileSplit):
        return [split]
    if not isinstance(split, JoinedSplit):
        return None
    parts = [file_parts(part) for part in split.parts]
    return [one for part in parts for one in part or ()] if all(parts) else None


def compare_official(
    data: SegmentationDataset, listed: Listed, unlisted: Sequence[str], lost: int
) -> list[Problem]:
    """Return the problem of a split whose ids are not the official ones, unless others explain it.

    `unlisted` are labels that no list names, `lost` is the number of missing samples.
    """
    official, ids = data.official.get(listed.name), listed.ids
    if official is None or (len(ids) == official.count and official.ids in (None, ids_hash(ids))):
        return []
    surplus = len(ids) - official.count
    # Explained by samples left out because a file is missing, or by lines without files or of another split.
    if 0 < -surplus <= len(listed.problems) or 0 < surplus <= lost + listed.overlap:
        return []
    what = f"{len(ids)} samples, the official {listed.name} has {official.count}"
    if len(ids) == official.count:
        what = f"{len(ids)} samples as the official {listed.name}, but other ids"
    if unlisted:
        what += f"; labelled but not listed: {some(unlisted)}"
    return [
        Problem(listed.file, what, f"restore the official list or files ({data.fetch}), or give partial=true")
    ]


def is_official(data: SegmentationDataset, listed: Listed) -> bool:
    """Return whether a list is the complete official one, whichever files exist."""
    official = data.official.get(listed.name)
    return official is not None and official.ids == ids_hash(listed.ids)


def overlaps(data: SegmentationDataset, all_listed: Sequence[Listed]) -> list[Problem]:
    """Return the problems of samples that a split to evaluate on shares with any other split."""
    problems, evaluation = [], {data.val_split, data.test_split, "test"}
    for place, one in enumerate(all_listed):
        for other in all_listed[place + 1 :]:
            evaluated = [each for each in (one, other) if each.name in evaluation]
            shared = sorted(set(one.ids) & set(other.ids))
            if not evaluated or not shared:
                continue
            train, val = (other, one) if evaluated == [one] else (one, other)
            train.overlap += len(shared)
            file = train.file_of(shared[0])
            problems.append(
                Problem(
                    file,
                    f"{len(shared)} of {len(train.ids)} samples of {train.name} are in {val.name} too "
                    f"({some(shared)})",
                    f"take their lines off {file}" if Path(file).is_file() else "remove their files",
                )
            )
    return problems


def unlisted(all_listed: Sequence[Listed]) -> dict[str, list[Path]]:
    """Return label files that no split names, by the list (or lists) that should name them.

    Only if splits are list files: otherwise the folder is the list. A folder that serves one split may also
    hold the labels of others, as SegmentationClassAug those of val.
    """
    found: dict[str, list[Path]] = {}
    seen = {i for each in all_listed for i in each.ids}
    seen |= {Path(str(label)).stem for each in all_listed for part in each.parts for label in part.labels}
    for folder, using in _label_folders(all_listed).items():
        left = [path for path in visible(folder, "*.png") if path.stem not in seen]
        if left:
            found[" or ".join(using)] = left
            seen |= {path.stem for path in left}
    return found


def _label_folders(all_listed: Sequence[Listed]) -> dict[Path, dict[str, int]]:
    """Return the folders of labels, each with the list files that use it and their numbers of samples."""
    folders: dict[Path, dict[str, int]] = {}
    for part in (part for listed in all_listed for part in listed.parts if Path(part.source).is_file()):
        for folder in sorted({Path(str(label)).parent for label in part.labels}):
            using = folders.setdefault(folder, {})
            using[part.source] = max(len(part), using.get(part.source, 0))
    return folders


def forgotten(
    left: Mapping[str, Sequence[Path]], all_listed: Sequence[Listed]
) -> tuple[list[Problem], list[str]]:
    """In a partial dataset, return labels probably missing from a list, and notes on lists cut by choice."""
    problems, notes = [], []
    for lists, files in left.items():
        names = some([path.stem for path in files])
        listed = sum(_label_folders(all_listed)[files[0].parent].values())
        if len(files) <= max(1, ODD * listed):
            what = f"{names}: labelled in {files[0].parent}, but without a line in {lists}"
            file = lists if Path(lists).is_file() else str(files[0])
            problems.append(Problem(file, what, f"add the line to {lists}, or move the label elsewhere"))
        else:
            notes.append(f"{lists}: {len(files)} label files of {files[0].parent} are not listed ({names})")
    return problems, notes
