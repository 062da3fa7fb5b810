"""The protocol card: how a number was measured, kept beside it.

Two numbers stand side by side only where their cards agree in `comparable`.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segsweep.data.sample import IGNORE_INDEX
from segsweep.testing.boundary import BOUNDARY_RULE
from segsweep.testing.counts import Counts
from segsweep.testing.metrics import ABSENT_RULE
from segsweep.testing.strategies import RESIZE_RULE

Card = dict[str, Any]

# What may differ between two numbers of one table: the strategy is the column, the weights are the row.
OWN = ("strategy", "step", "checkpoint_sha256", "initial_weights", "segsweep")


def protocol_card(
    *,
    dataset: str,
    split: str,
    split_hash: str,
    counts: Counts,
    strategy: Mapping[str, Any],
    checkpoint: str,
    step: int,
    checkpoint_sha256: str,
    initial_weights: str,
    precision: str,
    version: str,
) -> Card:
    """The card of one test. Images are tested whole and compared with labels of their own size."""
    sizes = describe_sizes(counts.image_sizes)
    return {
        "dataset": dataset,
        "split": split,
        "split_hash": split_hash,
        "images": len(counts.ids),
        "image_sizes": sizes,
        "label_sizes": sizes,
        "num_classes": counts.num_classes,
        "strategy": dict(strategy),
        "resize": RESIZE_RULE,
        "ignore_index": IGNORE_INDEX,
        "absent_classes": ABSENT_RULE,
        "boundary": BOUNDARY_RULE,
        "precision": precision,
        "checkpoint": checkpoint,
        "step": step,
        "checkpoint_sha256": checkpoint_sha256,
        "initial_weights": initial_weights,
        "segsweep": version,
    }


def describe_sizes(sizes: Iterable[tuple[int, int]]) -> list[str]:
    """Image sizes (height, width) as "WxH"; the extremes and their number where there are many."""
    ordered = sorted(sizes)
    if len(ordered) <= 5:
        return [f"{width}x{height}" for height, width in ordered]
    heights, widths = zip(*ordered, strict=True)
    return [f"{min(widths)}x{min(heights)} to {max(widths)}x{max(heights)}, {len(ordered)} sizes"]


def comparable(card: Mapping[str, Any]) -> Card:
    """The part of a card that two numbers of one table must share."""
    return {key: value for key, value in card.items() if key not in OWN}


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """In what two cards differ, strategies and weights apart."""
    first, second = comparable(a), comparable(b)
    keys = first.keys() | second.keys()
    return {k: (first.get(k), second.get(k)) for k in sorted(keys) if first.get(k) != second.get(k)}


def write_test(folder: Path, counts: Counts, classes: Sequence[str], card: Mapping[str, Any]) -> None:
    """Write metrics.json, protocol.json, confusion.csv and counts.npz, as a whole or not at all.

    They are written into a folder beside, synced, and the folder is renamed.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    counts.save(temporary, classes)
    (temporary / "metrics.json").write_text(json.dumps(counts.summary(classes), indent=1) + "\n")
    (temporary / "protocol.json").write_text(json.dumps(dict(card), indent=1) + "\n")
    for path in temporary.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def read_test(folder: Path) -> tuple[dict[str, Any], Card]:
    """Metrics and card of a test."""
    metrics, card = (json.loads((folder / f"{name}.json").read_text()) for name in ("metrics", "protocol"))
    return metrics, card
