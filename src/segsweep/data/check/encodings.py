"""Guesses at how label files that are not as expected were encoded, from the values that they hold.

One file tells little, as a picture with few classes fits many encodings: what all files of a split hold
together tells more.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segsweep.data.check.images import Finding, Pair
from segsweep.data.check.problems import Problem
from segsweep.data.labels import ranges
from segsweep.data.sample import IGNORE_INDEX

ENOUGH = 3
"""Label files from which on their values may speak against an encoding that allows all of them."""
Others = Mapping[str, Collection[int]]


class Encoding(NamedTuple):
    """A way in which labels may have been stored."""

    name: str
    repair: str


def guess(
    found: Collection[int], files: int, allowed: Mapping[int, int], others: Mapping[str, Collection[int]]
) -> Encoding | None:
    """What label files hold instead of what is `allowed` (stored value → class index or `IGNORE_INDEX`).

    `found` are the values of all `files` together, `others` what the data set knows itself to be found
    with. None where the values are as they should be, or like nothing known.
    """
    values, expected = set(found), set(allowed)
    if values <= expected and not (files >= ENOUGH and _suspicious(values, allowed, others)):
        return None
    fitting = {name: _coverage(values, other) for name, other in others.items() if values <= set(other)}
    common = _common(values, allowed)
    if common or not fitting:
        return common
    return Encoding(max(fitting, key=lambda name: fitting[name]), _again(expected))


def _coverage(values: set[int], encoding: Collection[int]) -> float:
    """Share of an encoding's values that are found."""
    return len(values & set(encoding)) / len(encoding)


def _suspicious(values: set[int], allowed: Mapping[int, int], others: Mapping[str, Collection[int]]) -> bool:
    """Whether allowed values are most likely of another encoding: nearly all of its, few of ours."""
    if len(classes(allowed)) > 2 and values in ({0, 1}, {0, IGNORE_INDEX}):
        return True
    coverage = len(values) / len(allowed)
    return coverage < 0.7 and any(
        values <= set(other) < set(allowed) and len(values) > 0.9 * len(other) for other in others.values()
    )


def _common(values: set[int], allowed: Mapping[int, int]) -> Encoding | None:
    """Encodings that people's own conversions end in, whatever the data set."""
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
    """The stored values that stand for classes, in their order."""
    return sorted(value for value, index in allowed.items() if index != IGNORE_INDEX)


def _again(expected: Collection[int]) -> str:
    return (
        f"convert them to {ranges(dict.fromkeys(expected, 0))}, or fetch the release's own label files again"
    )


def problems_of_values(
    name: str, pairs: Sequence[Pair], findings: Sequence[Finding], others: Others
) -> list[Problem]:
    """One problem where most labels of the split are of another encoding, else one for each bad file."""
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
            return [Problem(_folder(read), f"{what}: they hold {shown}", encoding.repair)]
    return [_of_file(pair, found, others) for pair, found in refused]


def _of_file(pair: Pair, found: Finding, others: Others) -> Problem:
    """A single label with values that it should not have."""
    assert found.refused is not None
    allowed = _allowed(pair)
    if found.stored <= set(allowed):
        return found.refused  # the data set knew better than a table
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


def _folder(read: Sequence[tuple[Pair, Finding]]) -> str:
    """The folder that holds the labels, of several the first one's parent."""
    folders = {Path(str(pair.label)).parent for pair, _ in read}
    first = Path(str(read[0][0].label)).parent
    return str(first if len(folders) == 1 else first.parent)
