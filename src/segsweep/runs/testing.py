"""Testing a trained run with the strategies that it has not been tested with."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from segsweep import __version__
from segsweep.data.module import SegmentationData
from segsweep.networks import Segmenter
from segsweep.runs import build
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import file_hash
from segsweep.testing.evaluate import evaluate
from segsweep.testing.pictures import PictureWriter
from segsweep.testing.protocol import protocol_card, write_test
from segsweep.testing.strategies import Strategy
from segsweep.training.checkpoints import BEST, LAST

log = logging.getLogger("segsweep")


def run_tests(folder: RunFolder, config: dict[str, Any]) -> None:
    """Test with what is missing, all in one pass over the images."""
    wanted = build.build_strategies(config)
    suffix = test_suffix(config)
    missing = {name: s for name, s in wanted.items() if name + suffix not in folder.strategies()}
    if not missing:
        return
    data = build.build_data(config)
    split = config["split"] or data.test_split
    checkpoint = folder.checkpoints / (BEST if config["checkpoint"]["test"] == "best" else LAST)
    samples = data.split(split)
    samples.check()
    pictures = PictureWriter(samples.ids, data.palette)
    results = evaluate(
        networks(config, checkpoint),
        samples,
        list(missing.values()),
        num_classes=config["num_classes"],
        device=device(config),
        num_workers=config["num_workers"],
        on_image=pictures,
    )
