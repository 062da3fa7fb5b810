"""A split of a folder that comes without: by share, at random but the same for the same seed and ids."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations

from segsweep.data.sets.folder_parts import LAYOUT, WHOLE, Part
from segsweep.data.split import fault
from segsweep.errors import DataError, OptionError

TRAIN = "train"
SHARE = 0.15
"""Share of the images for each of val and test, if the folder is not split and nothing else is said."""
Parts = Mapping[str, Part]


def with_splits(
    parts: Parts, groups: Mapping[str, str], shares: Mapping[str, float | None], seed: int
) -> tuple[Parts, str]:
    """Return the parts by split, and in words how those that the folder lacks were made.

    A folder that is not split is cut into train, val and test; one without val has a share of train for it.

    Args:
        parts: what the folder has.
        groups: the group of each image by id.
        shares: the options `val_share` and `test_share`.
        seed: of the order in which groups are taken.

    Raises:
        OptionError: a share that is none, or of a split that the folder has; nothing is left to train on.
        DataError: there is nothing to train on.
    """
    whole = WHOLE if WHOLE in parts else TRAIN
    if whole not in parts:
        raise DataError(next(iter(parts.values())).source, "there is no split train", f"expected {LAYOUT}")
    lacking = ("test", "val") if whole == WHOLE else () if "val" in parts else ("val",)
    given = {name: _share(f"{name}_share", shares, name in lacking, parts) for name in ("test", "val")}
    if not lacking:
        return parts, ""
    given = {name: given[name] for name in lacking}
    cut = parts[whole]
    ids = sorted({*cut.images, *(cut.masks or {})})
    split_of = split_by_share({i: groups.get(i, i) for i in ids}, given, seed)
    names = [name for name in (TRAIN, "val", "test") if name in split_of.values()]
    made = {name: cut.part({i for i in ids if split_of[i] == name}) for name in names}
    drawn = ", ".join(f"{name} {share:g}" for name, share in given.items())
    others = {name: part for name, part in parts.items() if name != whole}
    return made | others, f"; {drawn} of the images by dataset.split_seed={seed}, the rest is train"


def _share(option: str, shares: Mapping[str, float | None], is_lacking: bool, parts: Parts) -> float:
    share = shares[option]
    if share is None:
        return SHARE
    if type(share) not in (int, float) or not 0 <= share < 1:
        raise OptionError(option, share, "a share of the images, at least 0 and below 1")
    if not is_lacking:
        problem = f"the folder has splits of its own ({', '.join(parts)})"
        raise OptionError(option, share, problem=problem, remedy="leave it null")
    if share == 0 and option == "val_share":
        raise OptionError(option, share, "a share above 0, as training is monitored on val")
    return share


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


def check_apart(parts: Parts, groups: Mapping[str, str]) -> None:
    """Compare the groups of the images that are trained on with those that are tested on.

    Raises:
        DataError: a group is in two splits, though the folder was split to keep it whole (`split.fault`).
    """
    names = [name for name in (TRAIN, "val", "test") if name in parts]
    for first, second in combinations(names, 2):
        ours, theirs = (
            {groups[i]: path for i, path in parts[name].images.items()} for name in (first, second)
        )
        shared = sorted(ours.keys() & theirs.keys())
        if shared:
            what = f"of group {shared[0]}, which is in {first} and {second} ({len(shared)} groups are)"
            remedy = "keep each group in one split, or leave groups out (dataset.group, or the column group)"
            fault(DataError(theirs[shared[0]], what, remedy))


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
