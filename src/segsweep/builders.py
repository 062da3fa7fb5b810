"""Build the objects that a resolved configuration names.

This is the only place where `_target_` becomes a class. Any error in a value becomes one line here that names
its part of the configuration.
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
from segsweep.networks import Encoder, EncoderHead, Segmenter
from segsweep.networks.heads.auxiliary import AuxiliaryOptions
from segsweep.networks.heads.base import Head
from segsweep.networks.whole.whole_network import WholeNetwork
from segsweep.training.loggers import RunLogger
from segsweep.training.losses import SegmentationLoss
from segsweep.training.own_callbacks import Callbacks, checked
from segsweep.training.task import SegmentationTask

RANDOM: Mapping[str, Any] = {"pretrained": False, "weights": None}
"""Options with which an encoder starts from random weights."""


def build(config: Mapping[str, Any], part: str, **arguments: Any) -> Any:
    """Return the object that one part of the configuration names.

    Raises:
        UserError: as the object raises it; a ConfigError for an unknown option.
    """
    find_modules_of_the_working_folder()
    try:
        return instantiate(config[part], **arguments, _convert_="all")
    except HydraException as error:
        cause = error.__cause__
        if not isinstance(cause, UserError):
            raise _refusal(config, part, error) from error
    # Outside the block: inside, Hydra's error, whose cause this is, would become its cause in turn.
    if isinstance(cause, OptionError) and cause.option in arguments:
        raise cause  # an option of the top level, or of another part
    raise cause.within(part)


@contextmanager
def options_of(part: str) -> Iterator[None]:
    """Prefix the option in errors of the block with a part of the configuration."""
    try:
        yield
    except UserError as error:
        error.within(part)
        raise


def find(target: str) -> Any:
    """Return the object of a dotted name, importing its module; None if there is none."""
    try:
        return resolve_name(target)
    # Any exception: importing a module runs its code.
    except Exception:
        return None


@cache
def find_modules_of_the_working_folder() -> None:
    """Make Python files beside the user's configuration importable, such as their own head or dataset."""
    sys.path.append(str(Path.cwd()))


def _refusal(config: Mapping[str, Any], part: str, error: HydraException) -> ConfigError:
    """Return the reason for Hydra's error: an option that the class does not have, or the error's cause."""
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
    """Return the network, at another output stride than its own if one is given.

    Without `load_weights` an encoder starts from random weights: for a network that is about to load a
    checkpoint, or is only measured. Without `auxiliary` it has no auxiliary branches, which exist for
    training only.
    """
    if config.network:
        check_output_stride(config, output_stride, "output_stride")
        return build_network(config, load_weights, auxiliary)
    backbone = dict(config.backbone)
    if output_stride is not None:
        backbone["output_stride"] = output_stride
    if not load_weights:
        backbone |= RANDOM
    encoder: Encoder = build({"backbone": backbone}, "backbone")
    options, of_auxiliary = _without_auxiliary(config.head)
    shape: dict[str, Any] = {
        "channels": encoder.channels,
        "reductions": encoder.reductions,
        "num_classes": config.num_classes,
    }
    head: Head = build({"head": options}, "head", **shape)
    if auxiliary:
        with options_of("head"):
            head.add_auxiliary(**shape, **of_auxiliary)
    return EncoderHead(encoder, head)


def build_network(config: RunConfig, load_weights: bool, auxiliary: bool) -> WholeNetwork:
    """Return a whole network, as `build_segmenter` does."""
    options, of_auxiliary = _without_auxiliary(config.network or {})
    if not load_weights:
        options |= {key: value for key, value in RANDOM.items() if key in options}
    network: WholeNetwork = build({"network": options}, "network", num_classes=config.num_classes)
    if auxiliary:
        with options_of("network"):
            network.add_auxiliary(config.num_classes, **of_auxiliary)
    return network


def check_output_stride(config: RunConfig, output_stride: int | None, option: str) -> None:
    """Raise OptionError if a whole network is asked for at another output stride than its own."""
    if config.network and output_stride is not None:
        raise OptionError(option, output_stride, "null", problem="a whole network has its own output stride")


def _without_auxiliary(options: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the options of a part without those about auxiliary losses, and these."""
    known = AuxiliaryOptions.__annotations__
    own = {key: value for key, value in options.items() if key not in known}
    return own, {key: value for key, value in options.items() if key in known}


def build_dataset(config: RunConfig) -> SegmentationDataset:
    """Return the dataset; raise ConfigError if its number of classes is not `num_classes`.

    If that is None, as before planning, the dataset has as many as it finds.
    """
    dataset: SegmentationDataset = build(config, "dataset", **_taken(config, "dataset"))
    if config.num_classes not in (None, dataset.num_classes):
        name, classes = type(dataset).__name__, ", ".join(dataset.classes)
        raise OptionError(
            "num_classes",
            config.num_classes,
            problem=f"{name} has {dataset.num_classes} classes ({classes})",
            remedy=f"set num_classes to {dataset.num_classes}",
        )
    return dataset


def build_data(config: RunConfig, dataset: SegmentationDataset | None = None) -> DataModule:
    """Return the training data: the dataset, built unless it is given, batched, augmented and ordered."""
    if config.augment.get("extra"):
        import_albumentations()  # before Hydra imports it for the transforms
    return DataModule(
        dataset or build_dataset(config),
        size=config.size,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        eval_batch_size=config.eval_batch_size,
        seed=config.seed,
        augment=build(config, "augment", **_taken(config, "augment")),
        sampling=build(config, "sampling") if config.sampling else None,
    )


def _taken(config: RunConfig, part: str) -> dict[str, Any]:
    """Return the top-level options that the class of a part requests by its attribute `takes`."""
    with suppress(ErrorDuringImport):  # building the part reports it
        return {key: config[key] for key in getattr(locate(config[part]["_target_"]), "takes", ())}
    return {}


def build_loss(config: RunConfig) -> SegmentationLoss:
    """Return the loss, or a sum of the losses under `terms`, checked against the number of classes."""
    node = dict(config.loss)
    terms = node.pop("terms", None)
    if terms is None:
        loss: SegmentationLoss = build(config, "loss")
    else:
        if not terms:
            remedy = "give several losses: loss=[cross_entropy,dice]"
            raise OptionError("loss.terms", problem="there are none", remedy=remedy)
        # One by one and under its full name, so that an error names its term.
        parts = {name: f"loss.terms.{name}" for name in terms}
        built = {name: build({part: terms[name]}, part) for name, part in parts.items()}
        loss = build({"loss": node}, "loss", terms=built)
    with options_of("loss"):
        loss.check(config.num_classes)
    return loss


def build_callbacks(config: RunConfig) -> Callbacks:
    """Return the user's own Lightning callbacks, in the order of their names."""
    nodes = {f"callbacks.{name}": node for name, node in (config.get("callbacks") or {}).items()}
    for part, node in nodes.items():
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise OptionError(part, problem="names no class", remedy=f"give {part}._target_=package.Class")
    built = {part: build(nodes, part) for part in nodes}
    return checked({part.removeprefix("callbacks."): callback for part, callback in built.items()})


def build_task(config: RunConfig) -> SegmentationTask:
    """Return the training task, with fresh weights drawn from the run's seed."""
    torch.manual_seed(config.seed)
    trainer = config.trainer
    loss = build_loss(config)  # before the network, as its errors come faster
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
    """Return the test strategies by name; equal settings under two keys are one strategy.

    Raises:
        OptionError: one has an output stride, and the network is a whole one.
    """
    strategies: list[Strategy] = []
    with options_of("test"):
        for key in config.test:
            strategy: Strategy = build(config.test, key)
            check_output_stride(config, strategy.output_stride, f"{key}.output_stride")
            strategies.append(strategy)
    return {strategy.name: strategy for strategy in strategies}


def build_logger(config: RunConfig) -> RunLogger:
    """Return the run's loggers besides metrics.csv."""
    logger: RunLogger = build(config, "logger")
    return logger
