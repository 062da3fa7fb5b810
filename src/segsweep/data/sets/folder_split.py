"""A split of a folder that comes without: by share, at random but the same for the same seed and ids."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from segsweep.errors import OptionError

TRAIN = "train"


def split_by_share(groups: Mapping[str, str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of each image, given its group: images of one group stay together.

    Groups are put into an order that depends on the seed and their names alone, and fill the splits of
    `shares` one after the other, each up to its share of the images and with at least one group; the rest is
    train.

    Raises:
        OptionError: nothing is left to train on.
    """
    sizes = Counter(groups.values())
    order = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    split_of: dict[str, str] = {}
    for name, share in shares.items():
        wanted, filled = share * len(groups), 0
        while share and order and (not filled or filled + sizes[order[0]] / 2 <= wanted):
            split_of[order[0]] = name
            filled += sizes[order.pop(0)]
    if not order:
        raise OptionError(
            "val_share",
            problem=f"{len(groups)} images in {len(sizes)} groups leave none to train on",
            remedy="give lists train.txt and val.txt, smaller shares or another group",
        )
    return {i: split_of.get(group, TRAIN) for i, group in groups.items()}


def groups_by(pattern: str | None, given: Mapping[str, str], ids: Iterable[str]) -> dict[str, str]:
    """Return the group of each id: what `pattern` finds in it, what a table gives, or the id itself.

    Raises:
        OptionError: `pattern` is no regular expression, or finds nothing in an id.
    """
    if pattern is None:
        return {i: given.get(i, i) for i in ids}
    try:
        search = re.compile(str(pattern)).search
    except re.error as error:
        raise OptionError("group", pattern, f"a regular expression ({error})") from error
    groups = {}
    for i in ids:
        found = search(i)
        if found is None:
            raise OptionError(
                "group", pattern, problem=f"finds nothing in the id {i}", remedy="match every id"
            )
        groups[i] = found[1] if found.re.groups else found[0]
    return groups
