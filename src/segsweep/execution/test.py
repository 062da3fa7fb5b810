"""Test a trained run with the strategies that it has not been tested with, on one rank or several.

Each of n ranks tests every n-th image. Rank 0 decides what is missing, and writes what a single process would
write, byte for byte: counts are integers that add up, and each file of predictions or pictures is of one
image. The ranks exchange this decision first and their counts at the end.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.sample import Sample
from segsweep.data.split import SplitDataset
from segsweep.distributed.collectives import broadcast, gather, shared_fate
from segsweep.distributed.ranks import Ranks
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.evaluate import OnImage, evaluate
from segsweep.evaluation.predictions import PictureWriter, PredictionWriter, prediction_form
from segsweep.evaluation.protocol import protocol_card, write_test
from segsweep.evaluation.strategies import Strategy
from segsweep.evaluation.submission import Size
from segsweep.execution import progress as testing_progress
from segsweep.execution.weights import tested_checkpoint, trained_run, with_whole_ids
from segsweep.networks import Segmenter
from segsweep.networks.folding import folded
from segsweep.networks.segmenter import is_auxiliary
from segsweep.runs import layout
from segsweep.runs.contents import Asked, Card
from segsweep.runs.documents import write_json
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import file_hash
from segsweep.runs.tested import COUNTS, PNG, PREDICTIONS, SUBMISSION, needed, request, test_suffix
from segsweep.runs.versions import current_names
from segsweep.training.checkpoint_files import read_checkpoint, segmenter_weights

log = logging.getLogger("segsweep")

_Part = tuple[dict[str, Counts], list[dict[str, Size]]]
"""One rank's results: counts by strategy, and the sizes of the predictions that each writer stored."""


def run_tests(folder: RunFolder, config: RunConfig, ranks: Ranks) -> None:
    """Run all missing tests in one pass over the images. Called by every rank.

    A test yields counts, or predictions if its split has no public truth; predictions also if asked for.

    Raises:
        UserError: the weights do not exist, an image cannot be read, or the disk is full; on all ranks, even
            if only one met the error.
    """
    if not config.test:
        return
    with shared_fate(ranks):
        config = with_whole_ids(config, folder.id)
        strategies = builders.build_strategies(config)
        data = builders.build_dataset(config)
        samples = data.split(config.split or data.test_split)
        usual = COUNTS if samples.has_truth else SUBMISSION if data.submission else PNG
        suffix, there = test_suffix(config), folder.yields()
        wanted = needed(config.predictions, usual)
        missing = {name: wanted - there.get(name + suffix, set()) for name in strategies}
    missing, token = broadcast((missing, uuid.uuid4().hex[:8]))
    if any(missing.values()):
        _Pass(folder, config, data, samples, strategies, missing, suffix, ranks, token).do()
    with shared_fate(ranks):
        folder.check_ours()
        for node in config.test.values() if ranks.rank == 0 else ():
            name = builders.build({"test": node}, "test").name + suffix
            asked = Asked.of({"strategy": dict(node), "suffix": suffix, "usual": usual})
            path, found = folder.tests / name / layout.ASKED, folder.asked(name)
            if found is None or request(found) != request(asked):  # a finished run may be read-only
                write_json(path, asked.plain())


@dataclass(frozen=True)
class _Pass:
    """One pass over a split: `missing` has the results that each strategy still lacks."""

    folder: RunFolder
    config: RunConfig
    data: SegmentationDataset
    samples: SplitDataset
    strategies: dict[str, Strategy]
    missing: Mapping[str, set[str | None]]
    suffix: str
    ranks: Ranks
    token: str
    """Identifies this pass, on all ranks."""

    def do(self) -> None:
        pending = [strategy for name, strategy in self.strategies.items() if self.missing[name]]
        if self.ranks.rank == 0:
            self._announce(pending)
        with ExitStack() as stack:
            with shared_fate(self.ranks):
                self.samples.check()
                writers = [stack.enter_context(writer) for writer in self._writers()]
            with shared_fate(self.ranks):
                counts = self._evaluate(pending, writers)
            parts = gather((counts, [writer.stored() for writer in writers]))
            with shared_fate(self.ranks):
                if parts is not None:
                    self._write(pending, writers, parts)

    def _announce(self, pending: Sequence[Strategy]) -> None:
        names = ", ".join(strategy.name for strategy in pending)
        by = f" by {self.ranks.world} processes" if self.ranks.world > 1 else ""
        log.info(f"testing on {len(self.samples)} images of {self.samples.name}{by}: {names}")
        if not self.samples.has_truth:
            log.info(f"{self.samples.name} has no public truth: its tests yield predictions and no figures")

    def _write(
        self, pending: Sequence[Strategy], writers: Sequence[PredictionWriter], parts: Sequence[_Part]
    ) -> None:
        """Write the merged results of all ranks."""
        for strategy in pending:
            counts = Counts.merge([counts[strategy.name] for counts, _ in parts], map(str, self.samples.ids))
            counts.group(self.data.group_unit, self.data.group_of)
            self._write_test(strategy, counts)
        for index, writer in enumerate(writers):
            for _, stored in parts:
                writer.add_stored(stored[index])
            where = f"; hand it in at {writer.form.server}" if writer.form.server else ""
            path = writer.finish(self.folder.check_ours)
            log.info(f"{path}: {len(self.samples)} predictions, read back and checked{where}")

    def _writers(self) -> Iterator[PredictionWriter]:
        """Yield a writer for each missing form of a strategy's predictions."""
        for strategy, kinds in self.missing.items():
            for kind in (kind for kind in PREDICTIONS if kind in kinds):
                form = prediction_form(kind, self.data.submission, self.data.num_classes)
                place, name = self.folder.path / PREDICTIONS[kind], strategy + self.suffix
                yield PredictionWriter(
                    place, name, strategy, self.samples.ids, form, self.data.palette, self.ranks.rank == 0,
                    self.token,
                )  # fmt: skip

    def _evaluate(
        self, strategies: Sequence[Strategy], writers: Sequence[PredictionWriter]
    ) -> dict[str, Counts]:
        checkpoint = tested_checkpoint(self.folder, self.config)
        own, done = range(self.ranks.rank, len(self.samples), self.ranks.world), count(1)
        consumers: list[OnImage] = [lambda *_: self.folder.check_ours(), *writers]
        if self.samples.has_truth:  # pictures are for reports, and show the truth
            place = self.folder.path / layout.PICTURES
            consumers.append(PictureWriter(place, self.samples.ids, self.data.palette, self.suffix))
        with testing_progress.shown(self.folder, self.ranks.rank == 0) as progress:
            return evaluate(
                cache(lambda stride: folded(load_network(self.config, checkpoint, stride))),
                self.samples,
                strategies,
                num_classes=self.config.num_classes,
                device=device(self.config.trainer.accelerator, self.ranks.local_rank),
                num_workers=self.config.num_workers,
                on_image=_each([*consumers, lambda *_: progress(next(done), len(own))]),
                indices=own,
                batch_size=self.config.eval_batch_size,
                other_at=lambda id, stride: folded(load_network(*trained_run(self.config, id), stride)),
            )

    def _write_test(self, strategy: Strategy, counts: Counts) -> None:
        """Write missing figures, or the protocol alone if there is no truth."""
        target, card = self.folder.tests / (strategy.name + self.suffix), self._card(strategy, counts.sizes)
        truth = self.samples.has_truth
        if not truth or COUNTS in self.missing[strategy.name]:
            write_test(target, counts if truth else None, self.data.classes, card, self.folder.check_ours)

    def _card(self, strategy: Strategy, sizes: Sequence[tuple[int, int]]) -> Card:
        return protocol_card(
            dataset=self.data.title or self.folder.plan.choices["dataset"],
            split=self.samples.name,
            split_hash=self.data.split_hash(self.samples.name),
            image_sizes=sizes,
            label_sizes=sizes if self.samples.has_truth else (),
            strategy=strategy,
            num_classes=self.config.num_classes,
            checkpoint=self.config.checkpoint.test,
            selected_on=self.data.val_split,
            step=self.folder.status().step,
            checkpoint_hash=file_hash(str(tested_checkpoint(self.folder, self.config))),
            initial_weights=initial_weights(self.folder.plan.identity),
            precision="float32",
        )


def _each(consumers: Sequence[OnImage]) -> OnImage:
    def on_image(sample: Sample, predictions: Mapping[str, NDArray[np.uint8]]) -> None:
        for consumer in consumers:
            consumer(sample, predictions)

    return on_image


def initial_weights(identity: Mapping[str, Any]) -> str:
    """Return what a run's training began with, by its identity: `timm`, `random`, or a file's hash."""
    if adopted := identity.get("adopted"):
        return f"adopted, {adopted}"
    for part in ("network", "backbone"):
        if given := identity.get(f"{part}.weights"):
            return str(given)
        if identity.get(f"{part}.pretrained"):
            return "timm"
    return "random"


def load_network(config: RunConfig, checkpoint: Path, output_stride: int | None) -> Segmenter:
    """Return the trained network without auxiliary branches, at another output stride if one is given."""
    network = builders.build_segmenter(config, output_stride, load_weights=False, auxiliary=False)
    wanted = network.state_dict().keys()
    weights = current_names(segmenter_weights(read_checkpoint(checkpoint)), wanted)
    training_only = [k for k in weights if is_auxiliary(k) and k not in wanted]
    network.load_state_dict({k: v for k, v in weights.items() if k not in training_only})
    return network


def device(accelerator: str, local_rank: int) -> torch.device:
    """Return the device that a rank tests on: its GPU, unless there is none or the configuration says cpu."""
    usable = accelerator != "cpu" and torch.cuda.is_available()
    return torch.device("cuda", local_rank) if usable else torch.device("cpu")
