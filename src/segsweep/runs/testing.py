"""Testing a trained run with the strategies that it has not been tested with."""

import logging
from functools import cache
from pathlib import Path
from typing import Any

import torch

from segsweep.errors import UserError
from segsweep.networks import Segmenter
from segsweep.runs import build
from segsweep.runs.files import write_json
from segsweep.runs.folder import ASKED, RunFolder, test_suffix
from segsweep.runs.identity import file_hash
from segsweep.testing.evaluate import evaluate
from segsweep.testing.pictures import PictureWriter
from segsweep.testing.protocol import protocol_card, write_test
from segsweep.testing.strategies import Strategy
from segsweep.training.checkpoints import BEST, LAST, read_checkpoint

log = logging.getLogger("segsweep")


def run_tests(folder: RunFolder, config: dict[str, Any]) -> None:
    """Test with what is missing, all of it in one pass over the images.

    Raises:
        UserError: the weights to be tested are not there, or an image cannot be read.
    """
    suffix, tested = test_suffix(config), folder.strategies()
    missing = {
        name: strategy
        for name, strategy in build.build_strategies(config).items()
        if name + suffix not in tested
    }
    if missing:
        _evaluate(folder, config, missing, suffix)
    for node in config["test"].values():
        name = build.build({"test": node}, "test").name + suffix
        write_json(folder.tests / name / ASKED, {"strategy": node, "suffix": suffix})


def _evaluate(
    folder: RunFolder, config: dict[str, Any], strategies: dict[str, Strategy], suffix: str
) -> None:
    data = build.build_data(config)
    split = config["split"] or data.test_split
    samples = data.split(split)
    samples.check()
    checkpoint = _checkpoint(folder, config)
    log.info(f"testing on {len(samples)} images of {split}: {', '.join(strategies)}")
    counts = evaluate(
        cache(lambda output_stride: load_network(config, checkpoint, output_stride)),
        samples,
        list(strategies.values()),
        num_classes=config["num_classes"],
        device=device(config["trainer"]["accelerator"]),
        num_workers=config["num_workers"],
        on_image=PictureWriter(folder.path / "pictures", samples.ids, data.palette, suffix),
    )
    for name, strategy in strategies.items():
        card = protocol_card(
            dataset=folder.plan["choices"]["dataset"],
            split=split,
            split_hash=data.split_hash(split),
            image_sizes=counts[name].sizes,
            label_sizes=counts[name].sizes,
            strategy=strategy,
            num_classes=config["num_classes"],
            checkpoint=config["checkpoint"]["test"],
            step=folder.status()["step"],
            checkpoint_hash=file_hash(str(checkpoint)),
            initial_weights=_initial_weights(folder.plan["identity"]),
            precision="float32",
        )
        write_test(folder.tests / (name + suffix), counts[name], data.classes, card)


def _checkpoint(folder: RunFolder, config: dict[str, Any]) -> Path:
    which = BEST if config["checkpoint"]["test"] == "best" else LAST
    path = folder.checkpoints / which
    if not path.is_file():
        raise UserError(
            f"{path}: the weights that checkpoint.test={config['checkpoint']['test']} names are not there"
        )
    return path


def _initial_weights(identity: dict[str, Any]) -> str:
    given = identity.get("backbone.weights")
    return str(given) if given else "timm" if identity["backbone.pretrained"] else "random"


def load_network(config: dict[str, Any], checkpoint: Path, output_stride: int | None) -> Segmenter:
    """The trained network, at another output stride where one is given."""
    network = build.build_segmenter(config, output_stride, load_weights=False)
    state = read_checkpoint(checkpoint)["state_dict"]
    prefix = "segmenter."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    return network


def device(accelerator: str) -> torch.device:
    """The one device that tests run on: a GPU where there is one and the configuration does not say cpu."""
    usable = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if usable else "cpu")
