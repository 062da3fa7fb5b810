"""A trained run that predicts again: pictures that its tests did not keep, and maps inside its network.

Only the checkpoint of a finished run is used, and only for a few images: figures of a whole set come from the
counts that tests wrote. Letters: `H`, `W` an image.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.sample import Sample
from segsweep.data.split import SplitDataset
from segsweep.errors import OptionError, UserError
from segsweep.evaluation.strategies import Strategy
from segsweep.execution import trust
from segsweep.execution.test import device
from segsweep.execution.weights import trained_checkpoint
from segsweep.inference.load import from_run
from segsweep.inference.trained import Trained
from segsweep.networks import Segmenter
from segsweep.runs.folder import RunFolder
from segsweep.runs.versions import with_current_classes


class TrainedRun:
    """A run with its dataset and network, each read when it is first asked for.

    Attributes:
        run: the run.
        config: what it is looked at under; of its tests, the first one's strategy is used.

    Raises:
        UserError: by any attribute that needs them, if the run is not trained, its checkpoint or data are not
            there, or its configuration names classes that are not trusted.
    """

    def __init__(self, run: RunFolder, config: RunConfig | None = None) -> None:
        self.run, self.config = run, config or run.config()

    @classmethod
    def as_tested(cls, run: RunFolder, test: str) -> "TrainedRun":
        """Return a run under the strategy, split and checkpoint of one of its tests, by its folder's name."""
        asked, (_, card) = run.asked(test), run.read_tests()[test]
        if asked is None:
            raise UserError(f"run {run.id}: how {test} was tested is not known (asked.json): test it again")
        own = run.config()
        return cls(
            run,
            own.changed(
                test={"tested": with_current_classes(asked.strategy.plain())},
                split=card.split,
                checkpoint={**own["checkpoint"], "test": card.checkpoint.which},
            ),
        )

    @cached_property
    def head(self) -> str:
        """The name of its head's choice, as in `head=ksac`, or that of its whole network."""
        choices = self.run.plan.choices
        return choices.get("network") or choices["head"]

    @cached_property
    def strategy(self) -> Strategy:
        """The first strategy of its configuration; the whole image once if there is none."""
        trust.check(self.run, self.config)
        return next(iter(builders.build_strategies(self.config).values()), Strategy())

    @cached_property
    def dataset(self) -> SegmentationDataset:
        """The dataset it was trained on."""
        trust.check(self.run, self.config)
        return builders.build_dataset(self.config)

    @cached_property
    def samples(self) -> SplitDataset:
        """The split that it is tested on."""
        return self.dataset.split(self.config.split or self.dataset.test_split)

    @cached_property
    def checkpoint(self) -> Path:
        """The weights that its tests use."""
        return trained_checkpoint(self.run, self.config)

    @cached_property
    def _trained(self) -> Trained:
        return from_run(self.run, device(self.config.trainer.accelerator, 0), config=self.config)

    @property
    def network(self) -> Segmenter:
        """The trained network, in evaluation mode on its device."""
        network = self._trained.network
        assert isinstance(network, Segmenter)
        return network

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the classes [H, W] of an image [H, W, 3] under the strategy, as the test pass does."""
        return self._trained.predict(image, self.strategy).labels

    def sample(self, image: str) -> Sample:
        """Return a sample of the split by its id, else by its index from 0.

        Raises:
            OptionError: there is no such image.
        """
        ids = [str(id) for id in self.samples.ids]
        if image in ids:
            return self.samples[ids.index(image)]
        if image.isdigit() and int(image) < len(ids):
            return self.samples[int(image)]
        expected = f"an id of {self.samples.name}, or a number from 0 to {len(ids) - 1}"
        raise OptionError("image", image, expected, near=ids if len(ids) > 1 else None)


def spread(run: TrainedRun, count: int) -> list[str]:
    """Return the ids of `count` images that are evenly spread over the test list, its first among them."""
    ids = run.samples.ids
    return [str(ids[i]) for i in np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)]
