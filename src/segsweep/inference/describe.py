"""Describe the network of a run: read its plan, configuration, tests and dataset."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm

import segsweep
from segsweep import builders
from segsweep.config.path_options import all_path_options
from segsweep.config.schema import NETWORK, RunConfig
from segsweep.data.labels import standard_palette
from segsweep.data.sample import height_width
from segsweep.errors import UserError
from segsweep.evaluation.counts import Counts
from segsweep.execution.test import initial_weights
from segsweep.execution.weights import tested_checkpoint
from segsweep.inference.description import Description, OverGroups, TestResult, Weights
from segsweep.networks import Segmenter
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import classed, file_hash
from segsweep.statistics.intervals import estimate
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import by_groups, plural_of, resampling

RULES = {
    "last": "the weights after the last training step, whatever the validation said",
    "best": "the weights with the highest validation mIoU during training",
}

OF_FILES = ("network.weights", "backbone.weights", "init")


def describe(folder: RunFolder, config: RunConfig, network: Segmenter) -> Description:
    """Return what is known of a run's network, given with the configuration under which it was loaded."""
    plan, environment = folder.plan, folder.environment()
    data = _data(folder, config)
    return Description(
        run=folder.id,
        choices=dict(plan.choices),
        name=_name(plan.choices, data.title),
        network=_network(config),
        num_classes=config.num_classes,
        size=height_width(config.size),
        classes=data.classes,
        palette=data.palette,
        mean=tuple(network.mean.flatten().tolist()),
        std=tuple(network.std.flatten().tolist()),
        dataset=data.title,
        train_split=config.dataset.get("train_split", "train"),
        licence=data.licence,
        weights=_weights(folder, config),
        tests=_tests(folder, config.checkpoint.test),
        seed=config.seed,
        overrides=tuple(_overrides(plan.overrides)),
        packages=environment.packages if environment else {},
        segsweep=segsweep.__version__,
    )


def _name(choices: Mapping[str, str], dataset: str) -> str:
    """Return a name that can be a file's: network, or head and backbone, and dataset."""
    parts = [*(choices[part] for part in ("network", "head", "backbone") if choices.get(part)), dataset]
    return re.sub(r"[^\w.+-]+", "_", "-".join(parts))


def _overrides(given: Sequence[str]) -> Iterator[str]:
    """Yield the overrides that say what the run is, without the folders of the machine it was trained on."""
    for override in given:
        key, _, value = override.partition("=")
        name = key.lstrip("+~")
        if classed(name) is not False and name.rpartition(".")[2] not in all_path_options():
            yield f"{key}={Path(value).name}" if name in OF_FILES else override


def _network(config: RunConfig) -> dict[str, Any]:
    """Return the parts that build the network, without the initial weights: its own take their place."""
    parts = {part: config[part] for part in NETWORK if config.get(part) is not None}
    return {part: _without_weights(value) for part, value in parts.items()}


def _without_weights(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {key: builders.RANDOM.get(key, value) for key, value in part.items()}


def _weights(folder: RunFolder, config: RunConfig) -> Weights:
    which = config.checkpoint.test
    initial = initial_weights(folder.plan.identity)
    return Weights(
        checkpoint=which,
        rule=RULES[which],
        step=folder.status().step,
        sha256=file_hash(str(tested_checkpoint(folder, config))),
        initial=initial,
        initial_licence=_timm_licence(config.backbone) if initial == "timm" else None,
    )


def _timm_licence(backbone: Mapping[str, Any]) -> str | None:
    record = timm.models.get_pretrained_cfg(backbone.get("name", ""))
    return getattr(record, "license", None)


class _Data(NamedTuple):
    """What a description says of a dataset."""

    title: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    licence: str | None


def _data(folder: RunFolder, config: RunConfig) -> _Data:
    """Return what is known of a run's dataset.

    A network outlives its dataset: if that cannot be read any more, or has become another, names and colours
    are those of the dataset's class, or the names that a test kept and VOC's colours.
    """
    dataset: Any
    try:
        dataset = builders.build_dataset(config)
    except UserError:
        dataset = builders.find(config.dataset["_target_"])
    number, tests = config.num_classes, list(folder.read_tests().values())
    names, colours = (tuple(getattr(dataset, part, ()))[:number] for part in ("classes", "palette"))
    if len(names) < number:
        kept = [tuple(metrics.per_class) for metrics, _ in tests if len(metrics.per_class) == number]
        names = kept[0] if kept else tuple(f"class {index}" for index in range(number))
    title = getattr(dataset, "title", "") or next((card.dataset for _, card in tests), "")
    return _Data(
        title or folder.plan.choices["dataset"],
        names,
        colours if len(colours) == number else standard_palette(number),
        getattr(dataset, "licence", "") or None,
    )


def _tests(folder: RunFolder, checkpoint: str) -> dict[str, TestResult]:
    """Return the tests of a run's `last` or `best` weights, by the names of their folders."""
    found = {}
    for name, (metrics, card) in folder.read_tests().items():
        if card.checkpoint.which == checkpoint:
            found[name] = TestResult(metrics=metrics, protocol=card, **_intervals(folder, name))
    return found


def _intervals(folder: RunFolder, test: str) -> dict[str, Any]:
    """Return mIoU's intervals over images and over groups, as reports give them for the run alone."""
    try:
        counts = Counts.load(folder.tests / test).by_name()
    except UserError:
        return {}
    measured = Measured(("0",), counts.rows[np.newaxis])
    found = estimate(measured, resampling(measured.images))
    if not np.isfinite([found.low, found.high]).all():
        return {}
    over_images = {"low": found.low, "high": found.high}
    if (groups := counts.groups) is None:
        return over_images
    drawn = by_groups(groups.names, groups.unit)
    found = estimate(measured, drawn)
    over_groups = OverGroups(
        noun=plural_of(groups.unit), drawn=drawn.unit, low=found.low, high=found.high, caveat=drawn.caveat
    )
    return {**over_images, "groups": over_groups}
