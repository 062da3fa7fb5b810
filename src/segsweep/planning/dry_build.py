"""Check a configuration before anything starts: everything that it names is built once, without weights.

The members of a sweep differ in few options. Each part is given only the options that it needs, and is
checked once for all members that agree in these.
"""

import copy
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import torch

from segsweep.builders import (
    build,
    build_callbacks,
    build_data,
    build_dataset,
    build_logger,
    build_loss,
    build_segmenter,
    build_strategies,
)
from segsweep.config.schema import NETWORK, RunConfig
from segsweep.config.values import check_values
from segsweep.data.datamodule import DataModule
from segsweep.data.dataset import SegmentationDataset
from segsweep.distributed.ranks import processes
from segsweep.errors import OptionError, UserError
from segsweep.evaluation.predictions import prediction_form
from segsweep.execution.start import check_init
from segsweep.execution.weights import trained_run
from segsweep.networks import Segmenter
from segsweep.networks.segmenter import check_input
from segsweep.rules import micro_batch
from segsweep.training.optimizers import freeze, with_schedule
from segsweep.training.sync_batchnorm import synchronises

T = TypeVar("T")
DATASET = ("dataset", "num_classes", "size")
DATA = (*DATASET, "augment", "sampling", "batch_size", "num_workers", "eval_batch_size", "seed")


def check(config: RunConfig) -> None:
    """Build everything once without weights, so that errors appear before anything starts.

    Raises:
        UserError: as the parts raise it; missing files of the dataset come last.
    """
    for part in (*_options(), _files):
        part(_without_seed(config))


def check_test(config: RunConfig) -> None:
    """Build everything that a test of a trained run needs besides its network, as `check` for training."""
    for part in (_dataset, _tests, _predictions, _test_files):
        part(_without_seed(config))


def problems(config: RunConfig) -> Iterator[tuple[UserError, bool]]:
    """Yield each error that `check` might raise, and whether it is only about the dataset's files."""
    for part in (check_values, *_options(), _files):
        try:
            part(_without_seed(config))
        except UserError as error:
            yield error, part is _files


def _options() -> tuple[Callable[[RunConfig], object], ...]:
    """Return the checks that need no dataset files, in the order in which a user would fix errors."""
    return _weights, _training, _loss, _callbacks, _tests, _logger, _data, _predictions, _input


def _without_seed(config: RunConfig) -> RunConfig:
    return config.changed(seed=0)


def _of(
    *keys: str, kept: int | None = None
) -> Callable[[Callable[[RunConfig], T]], Callable[[RunConfig], T]]:
    """Cache a function by these keys of the configuration, the only ones it gets; `kept` limits the cache."""

    def once(function: Callable[[RunConfig], T]) -> Callable[[RunConfig], T]:
        cached = lru_cache(kept)(lambda text: function(RunConfig.of(json.loads(text))))
        return lambda config: cached(json.dumps({key: config.get(key) for key in keys}, sort_keys=True))

    return once


@_of(*DATASET)
def _dataset(config: RunConfig) -> SegmentationDataset:
    return build_dataset(config)


@_of(*DATA)
def _data(config: RunConfig) -> DataModule:
    return build_data(config, _dataset(config))


@_of("loss", "num_classes")
def _loss(config: RunConfig) -> None:
    build_loss(config)


@_of("test", "network", "predictions", "runs_dir", "checkpoint", *DATASET)
def _tests(config: RunConfig) -> None:
    for strategy in build_strategies(config).values():
        if strategy.crop and config.predictions is not None:
            raise OptionError(
                "predictions",
                config.predictions,
                problem=f"the test {strategy.name} sees only the centre of an image",
                remedy="leave predictions or that test out",
            )
        for id in strategy.ensemble:
            trained_run(config, id)


@_of("predictions", *DATASET)
def _predictions(config: RunConfig) -> None:
    if config.predictions is not None:
        prediction_form(config.predictions, _dataset(config).submission, config.num_classes)


@_of("callbacks")
def _callbacks(config: RunConfig) -> None:
    build_callbacks(config)


@_of("logger")
def _logger(config: RunConfig) -> None:
    build_logger(config)


@_of(*NETWORK, kept=8)  # a network is large even without its tensors
def _network(config: RunConfig) -> Segmenter:
    with torch.device("meta"):
        return build_segmenter(config, load_weights=False)


@_of(*NETWORK)
def _weights(config: RunConfig) -> None:
    """Compare the file of weights, if there is one, with its encoder; nothing is downloaded."""
    part = "network" if config.network else "backbone"
    if config[part].get("weights") is not None:
        local = RunConfig.of({**config, part: {**config[part], "pretrained": False}})
        with torch.device("meta"):
            build_segmenter(local)


@_of("scheduler")
def _schedule(config: RunConfig) -> Callable[..., dict[str, Any]]:
    factory: Callable[..., dict[str, Any]] = build(config, "scheduler")
    return factory


@_of(*NETWORK, "init", "runs_dir", "optimizer", "scheduler", "trainer", "checkpoint")
def _training(config: RunConfig) -> None:
    segmenter, frozen = _network(config), config.trainer.freeze
    if frozen:
        segmenter = copy.deepcopy(segmenter)  # other members share it
        freeze(segmenter, frozen)
    check_init(config, segmenter)
    trainer, optimizer = config.trainer, build(config, "optimizer")
    with_schedule(
        optimizer, _schedule(config), segmenter, max_steps=trainer.max_steps, val_every=trainer.val_interval()
    )


@_of(*NETWORK, "size", "batch_size", "trainer", "checkpoint")
def _input(config: RunConfig) -> None:
    trainer, devices = config.trainer, processes(config)
    images = micro_batch(config.batch_size, devices, trainer.accumulate_grad_batches)
    together = devices if synchronises(trainer.sync_batchnorm, devices, images) else 1
    check_input(_network(config).stride, tuple(config.size), images * together)


@_of(*DATASET, "split")
def _files(config: RunConfig) -> None:
    _dataset(config).check_files()
    _test_files(config)


@_of(*DATASET, "split")
def _test_files(config: RunConfig) -> None:
    data = _dataset(config)
    data.split(config.split or data.test_split).check()
