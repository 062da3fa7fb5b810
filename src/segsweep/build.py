"""From a resolved configuration to the objects it names.

This is where `_target_` becomes a class, and the only place that does it: whatever is wrong with a value
shows here as one line that names its part of the configuration.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from pydoc import ErrorDuringImport, locate
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate

from segsweep.config.schema import RunConfig
from segsweep.data.datamodule import DataModule
from segsweep.data.dataset import SegmentationDataset
from segsweep.data.extra import import_albumentations
from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.evaluation.strategies import Strategy
from segsweep.networks import Encoder, Segmenter
from segsweep.networks.heads.auxiliary import AuxiliaryOptions
from segsweep.networks.heads.base import Head
from segsweep.training.loggers import RunLogger
from segsweep.training.losses import SegmentationLoss
from segsweep.training.task import SegmentationTask


def build(config: Mapping[str, Any], part: str, **arguments: Any) -> Any:
    """The object that one part of the configuration names.

    Raises:
        UserError: as the object itself raises it, or a ConfigError for an option it does not have.
    """
    find_modules_of_the_working_folder()
    try:
        return instantiate(config[part], **arguments, _convert_="all")
    except HydraException as error:
        cause = error.__cause__
        if not isinstance(cause, UserError):
            raise _refusal(config, part, error) from error
    # Out here: within the block, Hydra's report, whose cause this is, would become its own cause.
    if isinstance(cause, OptionError) and cause.option in arguments:
        raise cause  # an option of the top level, or of another part
    raise cause.within(part)


@contextmanager
def options_of(part: str) -> Iterator[None]:
    """Have errors about options name these as options of a part of the configuration."""
    try:
        yield
    except UserError as error:
        error.within(part)
        raise


def find(target: str) -> Any:
    """Return what a dotted name leads to, importing its module; None if it leads nowhere."""
    try:
        return resolve_name(target)
    # Anything: importing a module runs its code.
    except Exception:
        return None


@cache
def find_modules_of_the_working_folder() -> None:
    """A user's own head or data set is a Python file beside their configuration."""
    sys.path.append(str(Path.cwd()))


def _refusal(config: Mapping[str, Any], part: str, error: HydraException) -> ConfigError:
    """What Hydra's report of a failed call comes to: an option that the class does not have, or its cause."""
    with suppress(ErrorDuringImport, TypeError, ValueError):
        parameters = signature(locate(config[part]["_target_"])).parameters  # type: ignore[arg-type]
        known = [name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD]
        unknown = [key for key in config[part] if key not in known and not key.startswith("_")]
        if unknown and known == list(parameters):
            return OptionError(f"{part}.{unknown[0]}", problem="no such option", near=known)
    reason = str(error.__cause__ or error).strip().split("\n")[-1]
    return ConfigError(f"{part}: {reason or type(error.__cause__).__name__}")


def build_segmenter(
    config: RunConfig, output_stride: int | None = None, load_weights: bool = True, auxiliary: bool = True
) -> Segmenter:
    """The network, at another output stride than its own where one is given.

    Without `load_weights` the encoder starts from nothing: for a network that is about to be given a
    checkpoint, or only to be counted. Without `auxiliary` it has no auxiliary branches, which exist for
    training only.
    """
    backbone = dict(config.backbone)
    if output_stride is not None:
        backbone["output_stride"] = output_stride
    if not load_weights:
        backbone |= {"pretrained": False, "weights": None}
    encoder: Encoder = build({"backbone": backbone}, "backbone")
    options = dict(config.head)
    of_auxiliary: Any = {key: options.pop(key) for key in AuxiliaryOptions.__annotations__ if key in options}
    shape: dict[str, Any] = {
        "channels": encoder.channels,
        "reductions": encoder.reductions,
        "num_classes": config.num_classes,
    }
    head: Head = build({"head": options}, "head", **shape)
    if auxiliary:
        with options_of("head"):
            head.add_auxiliary(**shape, **of_auxiliary)
    return Segmenter(encoder, head)


def build_dataset(config: RunConfig) -> SegmentationDataset:
    """The dataset, whatever is done with it.

    Raises:
        ConfigError: it has another number of classes than `num_classes`.
    """
    dataset: SegmentationDataset = build(config, "dataset", **_taken(config, "dataset"))
    if config.num_classes != dataset.num_classes:
        name, classes = type(dataset).__name__, ", ".join(dataset.classes)
        raise OptionError(
            "num_classes",
            config.num_classes,
            problem=f"{name} has {dataset.num_classes} classes ({classes})",
            remedy=f"set num_classes to {dataset.num_classes}",
        )
    return dataset


def build_data(config: RunConfig, dataset: SegmentationDataset | None = None) -> DataModule:
    """The dataset, unless it is built already, with batches, augmentation and order, for training."""
    if config.augment.get("extra"):
        import_albumentations()  # before Hydra imports what the transforms name
    return DataModule(
        dataset or build_dataset(config),
        size=config.size,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        seed=config.seed,
        augment=build(config, "augment", **_taken(config, "augment")),
        sampling=build(config, "sampling") if config.sampling else None,
    )


def _taken(config: RunConfig, part: str) -> dict[str, Any]:
    """Options of the top level that the class of a part asks for by its attribute `takes`."""
    with suppress(ErrorDuringImport):  # which building it reports
        return {key: config[key] for key in getattr(locate(config[part]["_target_"]), "takes", ())}
    return {}


def build_loss(config: RunConfig) -> SegmentationLoss:
    """The loss, once it is known to fit the number of classes."""
    loss: SegmentationLoss = build(config, "loss")
    with options_of("loss"):
        loss.check(config.num_classes)
    return loss


def build_task(config: RunConfig) -> SegmentationTask:
    """Everything that is trained, with fresh weights drawn from the run's seed."""
    torch.manual_seed(config.seed)
    trainer = config.trainer
    loss = build_loss(config)  # before the network: what is wrong with it shows at once
    return SegmentationTask(
        segmenter=build_segmenter(config),
        loss=loss,
        optimizer=build(config, "optimizer"),
        schedule=build(config, "scheduler"),
        num_classes=config.num_classes,
        seed=config.seed,
        max_steps=trainer.max_steps,
        val_every=trainer.val_interval(),
        on_nan=trainer.on_nan,
        freeze=trainer.freeze,
    )


def build_strategies(config: RunConfig) -> dict[str, Strategy]:
    """Test strategies by name; equal settings under two keys are one strategy."""
    with options_of("test"):
        strategies = [build(config.test, key) for key in config.test]
    return {strategy.name: strategy for strategy in strategies}


def build_logger(config: RunConfig) -> RunLogger:
    """What the run logs to besides metrics.csv."""
    logger: RunLogger = build(config, "logger")
    return logger
