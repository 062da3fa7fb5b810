"""Whether the values of a split's label files, taken together, are those that they should be."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from segsweep.data.check.encodings import guess
from segsweep.data.check.files import Finding, Pair
from segsweep.data.check.problems import Problem
from segsweep.data.labels import ranges

Others = Mapping[str, Collection[int]]


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
