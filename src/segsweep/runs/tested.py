"""What a test of a run is: by which settings, under which name, and what it has to yield.

This decides whether a run is tested as somebody asks, so it must not depend on where a class stands or on
options that a later version adds.
"""

from collections.abc import Mapping
from typing import Any

from segsweep.runs import versions as compatibility

ASKED = "asked.json"
COUNTS, PNG, SUBMISSION = "counts", "png", "submission"
"""What a test may yield: counts of right and wrong pixels, predictions as a folder of PNGs or an archive."""
PREDICTIONS = {PNG: "predictions", SUBMISSION: "submissions"}


def canonical_test(strategy: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a test what it is: settings that are not null, and its class by the name in run ids.

    So a test stays done when its class moves, and when a later version adds an option.
    """
    settings = {key: value for key, value in strategy.items() if value is not None}
    return {**settings, "_target_": compatibility.class_name(str(strategy["_target_"]))}


def test_suffix(config: Mapping[str, Any]) -> str:
    """What a test folder's name has behind the strategy: weights and split, where not the usual ones."""
    weights = "-best" if config["checkpoint"]["test"] == "best" else ""
    return weights + (f"-{config['split']}" if config["split"] else "")


def needed(predictions: str | None, usual: str | None) -> set[str | None]:
    """What a test has to yield: what is asked for, else the usual, and counts wherever they are the usual.

    `usual` is what a split yields unasked: counts, or predictions where its truth is not public.
    """
    return {predictions or usual, *({COUNTS} if usual == COUNTS else ())}
