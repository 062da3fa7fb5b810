"""Testing a trained run with the strategies that it has not been tested with."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsweep.data.module import SegmentationData
from segsweep.data.sample import Sample
from segsweep.data.split import SplitDataset
from segsweep.errors import UserError
from segsweep.networks import Segmenter
from segsweep.networks.segmenter import is_auxiliary
from segsweep.runs import build
from segsweep.runs.compatibility import current_names
from segsweep.runs.files import write_json
from segsweep.runs.folder import ASKED, COUNTS, PNG, PREDICTIONS, SUBMISSION, RunFolder, needed, test_suffix
from segsweep.runs.identity import file_hash
from segsweep.testing.counts import Counts
from segsweep.testing.evaluate import OnImage, evaluate
from segsweep.testing.pictures import PictureWriter
from segsweep.testing.predictions import PredictionWriter, prediction_form
from segsweep.testing.protocol import protocol_card, write_test
from segsweep.testing.strategies import Strategy
from segsweep.training.checkpoint_files import BEST, LAST, read_checkpoint, segmenter_weights

log = logging.getLogger("segsweep")


def run_tests(folder: RunFolder, config: dict[str, Any]) -> None:
    """Test with what is missing, all of it in one pass over the images.

    A test yields counts, or predictions where its split has no public truth, and predictions where they are
    asked for besides.

    Raises:
        UserError: the weights to be tested are not there, an image cannot be read, or the disk is full.
    """
    strategies = build.build_strategies(config)
    if not strategies:
        return
    data = build.build_data(config)
    samples = data.split(config["split"] or data.test_split)
    usual = COUNTS if samples.has_truth else SUBMISSION if data.submission else PNG
    suffix, there = test_suffix(config), folder.yields()
    wanted = needed(config["predictions"], usual)
    missing = {name: wanted - there.get(name + suffix, set()) for name in strategies}
    if any(missing.values()):
        samples.check()
        _Pass(folder, config, data, samples, strategies, missing, suffix).do()
    for node in config["test"].values():
        name = build.build({"test": node}, "test").name + suffix
        write_json(folder.tests / name / ASKED, {"strategy": node, "suffix": suffix, "usual": usual})


@dataclass(frozen=True)
class _Pass:
    """One pass over a split for all that is missing: `missing` has what each strategy has yet to yield."""

    folder: RunFolder
    config: dict[str, Any]
    data: SegmentationData
    samples: SplitDataset
    strategies: dict[str, Strategy]
    missing: Mapping[str, set[str | None]]
    suffix: str

    def do(self) -> None:
        pending = [strategy for name, strategy in self.strategies.items() if self.missing[name]]
        names = ", ".join(strategy.name for strategy in pending)
        log.info(f"testing on {len(self.samples)} images of {self.samples.name}: {names}")
        if not self.samples.has_truth:
            log.info(f"{self.samples.name} has no public truth: its tests yield predictions and no figures")
        with ExitStack() as stack:
            writers = [stack.enter_context(writer) for writer in self._writers()]
            counts = self._evaluate(pending, writers)
            for strategy in pending:
                self._write_test(strategy, counts[strategy.name])
            for writer in writers:
                self._finish(writer)

    def _writers(self) -> Iterator[PredictionWriter]:
        """One for each form in which a strategy's predictions are missing."""
        for strategy, kinds in self.missing.items():
            for kind in (kind for kind in PREDICTIONS if kind in kinds):
                form = prediction_form(kind, self.data.submission, self.data.num_classes)
                place, name = self.folder.path / PREDICTIONS[kind], strategy + self.suffix
                yield PredictionWriter(place, name, strategy, self.samples.ids, form, self.data.palette)

    def _evaluate(
        self, strategies: Sequence[Strategy], writers: Sequence[PredictionWriter]
    ) -> dict[str, Counts]:
        checkpoint = _checkpoint(self.folder, self.config)
        pictures = PictureWriter(
            self.folder.path / "pictures", self.samples.ids, self.data.palette, self.suffix
        )
        return evaluate(
            cache(lambda output_stride: load_network(self.config, checkpoint, output_stride)),
            self.samples,
            strategies,
            num_classes=self.config["num_classes"],
            device=device(self.config["trainer"]["accelerator"]),
            num_workers=self.config["num_workers"],
            # Pictures are for reports of figures, and show the truth.
            on_image=_each([*writers, pictures] if self.samples.has_truth else writers),
        )

    def _write_test(self, strategy: Strategy, counts: Counts) -> None:
        """Keep the figures, or where there is no truth the protocol; figures that are there stay."""
        target, card = self.folder.tests / (strategy.name + self.suffix), self._card(strategy, counts.sizes)
        if not self.samples.has_truth:
            write_test(target, None, self.data.classes, card)
        elif COUNTS in self.missing[strategy.name]:
            write_test(target, counts, self.data.classes, card)

    def _finish(self, writer: PredictionWriter) -> None:
        where = f"; hand it in at {writer.form.server}" if writer.form.server else ""
        log.info(f"{writer.finish()}: {len(self.samples)} predictions, read back and checked{where}")

    def _card(self, strategy: Strategy, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
        return protocol_card(
            dataset=self.folder.plan["choices"]["dataset"],
            split=self.samples.name,
            split_hash=self.data.split_hash(self.samples.name),
            image_sizes=sizes,
            label_sizes=sizes if self.samples.has_truth else (),
            strategy=strategy,
            num_classes=self.config["num_classes"],
            checkpoint=self.config["checkpoint"]["test"],
            step=self.folder.status()["step"],
            checkpoint_hash=file_hash(str(_checkpoint(self.folder, self.config))),
            initial_weights=_initial_weights(self.folder.plan["identity"]),
            precision="float32",
        )


def _each(consumers: Sequence[OnImage]) -> OnImage:
    def on_image(sample: Sample, predictions: Mapping[str, NDArray[np.uint8]]) -> None:
        for consumer in consumers:
            consumer(sample, predictions)

    return on_image


def _checkpoint(folder: RunFolder, config: dict[str, Any]) -> Path:
    which = BEST if config["checkpoint"]["test"] == "best" else LAST
    path = folder.checkpoints / which
    if not path.is_file():
        raise UserError(
            f"{path}: the weights that checkpoint.test={config['checkpoint']['test']} names are not there"
        )
    return path


def _initial_weights(identity: dict[str, Any]) -> str:
    if adopted := identity.get("adopted"):
        return f"adopted, {adopted}"
    given = identity.get("backbone.weights")
    return str(given) if given else "timm" if identity["backbone.pretrained"] else "random"


def load_network(config: dict[str, Any], checkpoint: Path, output_stride: int | None) -> Segmenter:
    """The trained network without its auxiliary branches, at another output stride where one is given."""
    network = build.build_segmenter(config, output_stride, load_weights=False, auxiliary=False)
    wanted = network.state_dict().keys()
    weights = current_names(segmenter_weights(read_checkpoint(checkpoint)), wanted)
    training_only = [k for k in weights if is_auxiliary(k) and k not in wanted]
    network.load_state_dict({k: v for k, v in weights.items() if k not in training_only})
    return network


def device(accelerator: str) -> torch.device:
    """The one device that tests run on: a GPU where there is one and the configuration does not say cpu."""
    usable = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if usable else "cpu")
