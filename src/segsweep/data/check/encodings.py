"""Guess the encoding of unexpected label files from the values that they hold.

One file says little, as an image with few classes fits many encodings; the values of all files of a split
together say more.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segsweep.data.check.images import Finding, Pair
from segsweep.data.check.problems import Problem
from segsweep.data.labels import ranges
from segsweep.data.sample import IGNORE_INDEX

ENOUGH = 3
"""Least number of label files whose values may contradict an encoding that allows all of them."""
Others = Mapping[str, Collection[int]]


class Encoding(NamedTuple):
    """A way in which labels may have been stored."""

    name: str
    repair: str


def guess(found: Collection[int], files: int, allowed: Mapping[int, int], others: Others) -> Encoding | None:
    """Guess what label files hold instead of the `allowed` values (stored value → class or `IGNORE_INDEX`).

    `found` are the values of all `files` together, `others` the other encodings that the dataset knows of.
    None if the values are as they should be, or fit no known encoding.
    """
    values, expected = set(found), set(allowed)
    if values <= expected and not (files >= ENOUGH and _suspicious(values, allowed, others)):
        return None
    fitting = {name: len(values) / len(other) for name, other in others.items() if values <= set(other)}
    common = _common(values, allowed)
    if common or not fitting:
        return common
    wanted = ranges(dict.fromkeys(expected, 0))
    repair = f"convert them to {wanted}, or fetch the release's own label files again"
    return Encoding(max(fitting, key=lambda name: fitting[name]), repair)


def _suspicious(values: set[int], allowed: Mapping[int, int], others: Others) -> bool:
    """Return whether allowed values are likely of another encoding: nearly all of its values, few of ours."""
    if len(classes(allowed)) > 2 and values in ({0, 1}, {0, IGNORE_INDEX}):
        return True
    coverage = len(values) / len(allowed)
    return coverage < 0.7 and any(
        values <= set(other) < set(allowed) and len(values) > 0.9 * len(other) for other in others.values()
    )


def _common(values: set[int], allowed: Mapping[int, int]) -> Encoding | None:
    """Recognise the usual encodings of people's own conversions, whatever the dataset."""
    k, first = len(classes(allowed)), min(classes(allowed))
    if values in ({0, IGNORE_INDEX}, {0, 1}):
        return Encoding(
            f"masks of one object ({ranges(dict.fromkeys(values, 0))}), not class indices",
            "use the labels of all classes",
        )
    if first == 0 and IGNORE_INDEX in allowed and k in values and values <= {*range(k + 1), IGNORE_INDEX}:
        if 0 in values:
            return Encoding(f"{k + 1} classes, void stored as {k}", f"store {IGNORE_INDEX} instead of {k}")
        return Encoding(f"class numbers from 1 instead of 0 (1..{k})", "subtract 1 from every class number")
    if first == 1 and k not in values and values <= {*range(k), IGNORE_INDEX}:
        return Encoding(
            f"class numbers from 0 instead of 1, with {IGNORE_INDEX} for none",
            f"add 1 to every class number and store 0 for {IGNORE_INDEX}",
        )
    return None


def classes(allowed: Mapping[int, int]) -> list[int]:
    """Return the stored values that stand for classes, in order."""
    return sorted(value for value, index in allowed.items() if index != IGNORE_INDEX)


def problems_of_values(
    name: str, pairs: Sequence[Pair], findings: Sequence[Finding], others: Others
) -> list[Problem]:
    """Return one problem if most labels of the split have another encoding, else one for each bad file."""
    read = [(pair, found) for pair, found in zip(pairs, findings, strict=False) if found.stored]
    if not read:
        return []
    refused = [(pair, found) for pair, found in read if found.refused]
    values = frozenset[int]().union(*(found.stored for _, found in read))
    if not refused or (len(read) > 1 and 2 * len(refused) > len(read)):
        encoding = guess(values, len(read), _allowed(read[0][0]), others)
        if encoding:
            files = f"{len(refused) or len(read)} of {len(read)} files"
            what = f"labels of {name} ({files}) look like {encoding.name}"
            shown = ranges(dict.fromkeys(values))
            # The folder of the labels; of several folders, the first one's parent.
            folders = [Path(str(pair.label)).parent for pair, _ in read]
            folder = str(folders[0] if len(set(folders)) == 1 else folders[0].parent)
            return [Problem(folder, f"{what}: they hold {shown}", encoding.repair)]
    return [_of_file(pair, found, others) for pair, found in refused]


def _of_file(pair: Pair, found: Finding, others: Others) -> Problem:
    """Return the problem of a single label file with wrong values."""
    assert found.refused is not None
    allowed = _allowed(pair)
    if found.stored <= set(allowed):
        return found.refused  # refused by the dataset for another reason than its table of values
    encoding = guess(found.stored, 1, allowed, others)
    if encoding:
        return found.refused._replace(
            problem=f"{found.refused.problem}; looks like {encoding.name}", repair=encoding.repair
        )
    return found.refused._replace(repair=f"correct or fetch the file: expected {ranges(allowed)}")


def _allowed(pair: Pair) -> Mapping[int, int]:
    table = pair.format.table(str(pair.label))
    assert table is not None
    return table.values
