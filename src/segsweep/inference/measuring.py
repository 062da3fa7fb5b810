"""Measure an exported network on a dataset, by the test pass that runs are tested by."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.split import SplitDataset
from segsweep.errors import DataError, UserError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.evaluate import evaluate
from segsweep.evaluation.protocol import Test, is_test, protocol_card, read_test, write_test
from segsweep.evaluation.strategies import Strategy
from segsweep.inference.trained import Trained
from segsweep.runs.contents import Card
from segsweep.runs.identity import file_hash

log = logging.getLogger("segsweep")

OnProgress = Callable[[int, int], None]
"""Is called with (images done, images in all)."""


@dataclass(frozen=True)
class Measuring:
    """An exported network, and what it is measured on.

    Attributes:
        trained: the network.
        form: the form of its file, for the protocol card.
        file: the file, whose hash is the card's.
        config: dataset, split, tests and machine.
    """

    trained: Trained
    form: str
    file: Path
    config: RunConfig

    @cached_property
    def data(self) -> SegmentationDataset:
        """The dataset; raise DataError if its classes are not the network's."""
        data, known = builders.build_dataset(self.config), self.trained.description.classes
        if tuple(data.classes) != known:
            name = self.trained.description.dataset
            problem = f"tells {', '.join(known)} apart, but the dataset has {', '.join(data.classes)}"
            raise DataError(self.file, problem, f"it was trained on dataset={name}")
        return data

    @cached_property
    def samples(self) -> SplitDataset:
        """The split; raise UserError if files are missing, or there is no public truth to count by."""
        samples = self.data.split(self.config.split or self.data.test_split)
        samples.check()
        if not samples.has_truth:
            raise UserError(
                f"{samples.name} has no public truth to measure by; segsweep predict labels images"
            )
        return samples

    @cached_property
    def strategies(self) -> dict[str, Strategy]:
        """The tests by the names of their folders; raise OptionError if the file cannot compute one."""
        suffix = f"-{self.config.split}" if self.config.split else ""
        found = {name + suffix: one for name, one in builders.build_strategies(self.config).items()}
        for stride in {view.output_stride for one in found.values() for view in one.views()}:
            self.trained.network_at(stride)
        return found

    def do(self, out: Path, on_progress: OnProgress) -> dict[str, Test]:
        """Run the tests that are not in a folder yet, each into one of its own; return all by name.

        A test is repeated if it was of another file or other images.
        """
        pending = {name: one for name, one in self.strategies.items() if not self._is_in(out / name)}
        if pending:
            names = ", ".join(pending)
            log.info(f"testing {self.file} on {len(self.samples)} images of {self.samples.name}: {names}")
            counts = self._counts(on_progress)
            for name, strategy in pending.items():
                found = counts[strategy.name]
                write_test(out / name, found, self.data.classes, self._card(strategy, found))
        return {name: read_test(out / name) for name in self.strategies}

    def _is_in(self, folder: Path) -> bool:
        if not is_test(folder):
            return False
        card = read_test(folder).card
        split_hash = self.data.split_hash(self.samples.name)
        return (card.checkpoint.sha256, card.split_hash) == (self._hash, split_hash)

    def _counts(self, on_progress: OnProgress) -> dict[str, Counts]:
        done = count(1)
        found = evaluate(
            self.trained.folded_at,
            self.samples,
            self.strategies.values(),
            self.trained.description.num_classes,
            self.trained.device,
            self.config.num_workers,
            lambda *_: on_progress(next(done), len(self.samples)),
            batch_size=self.config.eval_batch_size,
        )
        for counts in found.values():
            counts.group(self.data.group_unit, self.data.group_of)
        return found

    @cached_property
    def _hash(self) -> str:
        """Of the file; of the checkpoint that a hub folder was made from."""
        known = self.trained.description.weights.sha256
        return file_hash(str(self.file)) if self.file.is_file() else known or ""

    def _card(self, strategy: Strategy, counts: Counts) -> Card:
        weights = self.trained.description.weights
        card = protocol_card(
            dataset=self.trained.description.dataset,
            split=self.samples.name,
            split_hash=self.data.split_hash(self.samples.name),
            image_sizes=counts.sizes,
            label_sizes=counts.sizes,
            strategy=strategy,
            num_classes=counts.num_classes,
            checkpoint=weights.checkpoint,
            selected_on=self.data.val_split,
            step=weights.step or 0,
            checkpoint_hash=self._hash,
            initial_weights=weights.initial or "",
            precision="float32",
        )
        return card.changed(exported=self.form)
