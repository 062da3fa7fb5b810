"""The protocol of a test: what must be known of a number before it may be compared with another one.

A test is a folder of four files, `metrics.json`, `protocol.json`, `confusion.csv` and `counts.npz`, or of
`protocol.json` alone if there is no truth to count by and it yields nothing but predictions. It is written
under a temporary name and renamed when everything is on disk: a folder that has its name is complete.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import segsweep
from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DataError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.histogram import BOUNDARY_RULE
from segsweep.evaluation.strategies import RESIZE_RULE, Strategy
from segsweep.files import fsync
from segsweep.runs import layout
from segsweep.runs.contents import Card, CheckpointCard, Metrics, StrategyCard, selection_of
from segsweep.runs.documents import json_bytes
from segsweep.statistics.figures import ABSENT_RULE

Size = tuple[int, int]
FILES = (layout.METRICS, layout.PROTOCOL, layout.CONFUSION, layout.COUNTS)
SIZES_LISTED = 5


class Test(NamedTuple):
    """A test read back: its figures, its protocol and its counts."""

    metrics: Metrics
    card: Card
    counts: Counts


def protocol_card(
    *,
    dataset: str,
    split: str,
    split_hash: str,
    image_sizes: Sequence[Size],
    label_sizes: Sequence[Size],
    strategy: Strategy,
    num_classes: int,
    checkpoint: str,
    selected_on: str,
    step: int,
    checkpoint_hash: str,
    initial_weights: str,
    precision: str,
) -> Card:
    """Return everything that a test's figures depend on.

    Args:
        dataset: name of the dataset.
        split: its list of images.
        split_hash: hash of that list.
        image_sizes: (width, height) in pixels of each image as the network was given it (`Counts.sizes`).
        label_sizes: of each label map that was counted, none if there is no truth.
        strategy: the test strategy.
        num_classes: K.
        checkpoint: which of a run's, "last" or "best".
        selected_on: the split on which the best one was found.
        step: optimizer steps that made the checkpoint.
        checkpoint_hash: first digits of the file's SHA-256.
        initial_weights: name or hash of the weights that training started from.
        precision: of the forward passes.
    """
    return Card(
        dataset=dataset,
        split=split,
        split_hash=split_hash,
        images=len(image_sizes),
        image_sizes=describe_sizes(image_sizes),
        label_sizes=describe_sizes(label_sizes),
        strategy=StrategyCard.of({"name": strategy.name, **strategy.settings()}),
        resize=RESIZE_RULE,
        absent_classes=ABSENT_RULE,
        ignore_index=IGNORE_INDEX,
        boundary=BOUNDARY_RULE,
        num_classes=num_classes,
        checkpoint=CheckpointCard(which=checkpoint, step=step, sha256=checkpoint_hash),
        selection=selection_of(checkpoint, selected_on, split),
        initial_weights=initial_weights,
        precision=precision,
        segsweep=segsweep.__version__,
    )


def describe_sizes(sizes: Iterable[Size]) -> tuple[str, ...] | str:
    """Sizes (width, height) as a sorted tuple of "WxH", or as a range with their number if there are many."""
    distinct = sorted({(int(width), int(height)) for width, height in sizes})
    if len(distinct) <= SIZES_LISTED:
        return tuple(f"{width}x{height}" for width, height in distinct)
    widths, heights = zip(*distinct, strict=True)
    return f"{min(widths)}x{min(heights)} to {max(widths)}x{max(heights)}, {len(distinct)} sizes"


def comparable(card: Card) -> dict[str, Any]:
    """Return the flat part of a card that must be equal for two numbers to be comparable.

    It omits what a comparison is about: the strategy, which is compared like with like or on purpose, and
    the weights (the checkpoint's name, step and hash, the initial weights, the form of an exported file); and
    the version of segsweep.
    """
    left_out = {"strategy", "checkpoint", "initial_weights", "segsweep", "exported"}
    part = {key: value for key, value in card.plain().items() if key not in left_out}
    # Older cards do not say it. All datasets but users' own select on val.
    return {**part, "selection": card.selection or selection_of(card.checkpoint.which, "val", card.split)}


def differences(a: Card, b: Card) -> dict[str, tuple[Any, Any]]:
    """Return how the comparable parts of two cards differ: key → (of a, of b); empty if they do not."""
    ours, theirs = comparable(a), comparable(b)
    keys = sorted(ours.keys() | theirs.keys())
    return {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}


def write_test(
    folder: Path,
    counts: Counts | None,
    classes: Sequence[str],
    card: Card,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write a test's files as one: `folder` appears complete, or not at all.

    A test that was there before is replaced. `classes` are the K names, in the order of the labels. If
    `counts` is None, as there is no truth, only the protocol is written. `check` is called before the folder
    gets its name and may raise.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A leading dot marks what is not a test, in case a killed process leaves it behind.
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        if counts is not None:
            counts.save(draft, classes)
            (draft / layout.METRICS).write_bytes(json_bytes(counts.summary(classes)))
        (draft / layout.PROTOCOL).write_bytes(json_bytes(card.plain()))
        for path in (*draft.iterdir(), draft):
            fsync(path)
        os.umask(mask := os.umask(0))  # the mask, which `mkdtemp` ignores, can only be read by setting it
        draft.chmod(0o777 & ~mask)
        check()
        old = draft.with_name(f"{draft.name}.old")  # a rename needs its target to be free
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
        fsync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def is_test(folder: Path) -> bool:
    """Whether a folder is a complete test, and not a draft that a killed process left behind."""
    return not folder.name.startswith(".") and all((folder / name).is_file() for name in FILES)


def read_test(folder: Path) -> Test:
    """Read a test back.

    Raises:
        DataError: the folder is no complete test.
    """
    if not is_test(folder):
        raise DataError(
            folder, f"not a complete test (expected {', '.join(FILES)}): run `segsweep test` again"
        )
    figures, card = (json.loads((folder / name).read_text("utf-8")) for name in FILES[:2])
    return Test(Metrics.of(figures), Card.of(card), Counts.load(folder))
