"""What is known of a trained network, as plain values that travel with it in every form.

One JSON form serves config.json of a hub folder, ONNX metadata and the extra files of torch.export.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DamagedFileError
from segsweep.runs.contents import Card, Finite, Metrics, Options
from segsweep.runs.records import Record


@dataclass(frozen=True, kw_only=True)
class OverGroups(Record):
    """The interval of mIoU if whole groups of images are drawn, or blocks within few groups."""

    noun: str
    """What the groups are: drives, cities."""
    drawn: str
    """`groups` or `blocks`."""
    low: Finite
    high: Finite
    caveat: str | None = None
    """What the interval does not say, in words."""


@dataclass(frozen=True, kw_only=True)
class OverSeeds(Record):
    """The mIoU of runs that differ in their seeds alone, measured alike, the described one among them."""

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    mious: tuple[float, ...]
    """Of each run."""
    mean: Finite
    std: Finite
    """Standard deviation over seeds (ddof=1)."""
    low: Finite | None = None
    """Lower end of the mean's 95 % interval over images, as reports give it; None without counts."""
    high: Finite | None = None


@dataclass(frozen=True, kw_only=True)
class TestResult(Record):
    """A test of the network: its figures, the interval of its mIoU, and the protocol that they depend on."""

    __test__ = False  # not one of pytest's

    metrics: Metrics
    protocol: Card
    low: Finite | None = None
    """Lower end of mIoU's 95 % interval over images, as reports give it; None without counts."""
    high: Finite | None = None
    groups: OverGroups | None = None
    """The interval over groups, if images resemble others of their group, such as frames of one drive."""
    over_seeds: OverSeeds | None = None
    """The figures of the same configuration with other seeds, if it was trained with some."""


@dataclass(frozen=True, kw_only=True)
class Weights(Record):
    """The checkpoint whose weights a network has, and how it was chosen."""

    checkpoint: str
    """`last` or `best`."""
    rule: str
    """The selection rule in words."""
    step: int | None = None
    """Optimizer steps of training."""
    sha256: str | None = None
    """The first digits of the checkpoint's hash."""
    initial: str | None = None
    """Name or hash of the weights that training began with, as in protocol cards."""
    initial_licence: str | None = None
    """Their licence, by timm's record; None if it is not known."""
    licence: str | None = None
    """That of the trained weights, as whoever exports them says; None if nobody has."""


@dataclass(frozen=True, kw_only=True)
class Description(Record):
    """What is known of a trained network.

    Read one with `of` from plain values or with `from_json`; `plain` and `to_json` give it back.
    """

    run: str
    """Id of the run that trained it."""
    choices: dict[str, str]
    """The run's choice of each axis, such as `head: ksac`."""
    name: str
    """Head, backbone and dataset, such as `ksac-resnet18-camvid`."""
    network: Options
    """The parts of the run's configuration from which `builders.build_segmenter` builds it."""
    num_classes: int
    size: tuple[int, ...]
    """The training crop, (height, width)."""
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    """The classes' colours, RGB 0..255."""
    ignore_index: int = IGNORE_INDEX
    mean: tuple[float, ...]
    """Of the normalisation that is part of the network, RGB 0..255."""
    std: tuple[float, ...]
    dataset: str
    """What its tests call the data: the choice, or the name of one's own folder."""
    train_split: str
    licence: str | None = None
    """Terms of the dataset in a line; None if they are not known."""
    weights: Weights
    tests: dict[str, TestResult] = field(default_factory=dict)
    """By the names of their folders: strategy, weights and split."""
    seed: int = 0
    overrides: tuple[str, ...] = ()
    """Those that first requested the run and say what it is; folders and machine are left out."""
    packages: dict[str, Any] = field(default_factory=dict)
    """Versions that it was trained with."""
    segsweep: str | None = None
    """The version that described it."""

    def licensed(self, licence: str) -> Self:
        """Return the description with a licence of the trained weights."""
        return self.changed(weights=self.weights.changed(licence=licence))

    def beside(self, over_seeds: Mapping[str, OverSeeds]) -> Self:
        """Return the description with figures over seeds, by the names of tests."""
        added = {name: self.tests[name].changed(over_seeds=found) for name, found in over_seeds.items()}
        return self.changed(tests={**self.tests, **added})

    def to_json(self) -> str:
        """Return the description as JSON."""
        return json.dumps(self.plain(), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, file: object) -> Self:
        """Return a description from JSON that stood in `file`.

        Raises:
            DamagedFileError: it is none.
        """
        try:
            return cls.of(json.loads(text))
        except ValueError as error:
            problem = f"has no whole description of a network ({error})"
            raise DamagedFileError(file, problem, "export the network again") from error
