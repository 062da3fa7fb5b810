"""Optimizers, what they train, and at which learning rates: a pretrained encoder may have its own."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, AdamW, Optimizer

from segsweep.errors import ConfigError, OptionError, UserError, near
from segsweep.networks import Segmenter

BATCH_NORM = "batch_norm"


def with_schedule(
    optimizer: Callable[[Segmenter], Optimizer],
    schedule: Callable[..., dict[str, Any]],
    segmenter: Segmenter,
    **run: int,
) -> tuple[Optimizer, dict[str, Any]]:
    """Make a segmenter's optimizer and its schedule; `run` has the run's max_steps and val_every.

    Raises:
        ConfigError: a value that they, or torch's classes behind them, do not take.
    """
    part = "optimizer"
    try:
        made = optimizer(segmenter)
        part = "scheduler"
        return made, schedule(made, **run)
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            error.within(part)
            raise
        raise ConfigError(f"{part}: {str(error).splitlines()[0]}") from error


def sgd(
    segmenter: Segmenter,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    pretrained_lr_factor: float = 1.0,
    pretrained_weight_decay_factor: float = 1.0,
) -> Optimizer:
    """SGD with momentum over the segmenter's parameter groups."""
    groups = parameter_groups(
        segmenter, lr, weight_decay, pretrained_lr_factor, pretrained_weight_decay_factor
    )
    return SGD(groups, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)


def adamw(
    segmenter: Segmenter,
    lr: float,
    betas: Sequence[float] = (0.9, 0.999),
    weight_decay: float = 0.01,
    pretrained_lr_factor: float = 1.0,
    pretrained_weight_decay_factor: float = 1.0,
) -> Optimizer:
    """AdamW over the segmenter's parameter groups."""
    groups = parameter_groups(
        segmenter, lr, weight_decay, pretrained_lr_factor, pretrained_weight_decay_factor
    )
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)


def parameter_groups(
    segmenter: Segmenter, lr: float, weight_decay: float, lr_factor: float, weight_decay_factor: float
) -> list[dict[str, Any]]:
    """The head first, then the encoder at `lr_factor` and `weight_decay_factor` of the head's settings.

    ATONet trains the pretrained layers at a tenth of both. An encoder that starts from random weights is not
    pretrained: the factors do not apply to it.
    """
    if not segmenter.encoder.has_pretrained_weights:
        lr_factor = weight_decay_factor = 1.0

    def group(module: nn.Module, lr: float, weight_decay: float) -> dict[str, Any]:
        return {"params": list(module.parameters()), "lr": lr, "weight_decay": weight_decay}

    return [
        group(segmenter.head, lr, weight_decay),
        group(segmenter.encoder, lr * lr_factor, weight_decay * weight_decay_factor),
    ]


def freeze(segmenter: Segmenter, parts: Sequence[str] | None) -> list[nn.Module]:
    """Freeze parts; return the modules that must stay in evaluation mode while the others train.

    `batch_norm` is every BatchNorm, weights and running statistics (DeepLab fine-tunes so); any other part is
    a module by its name, such as `encoder` or `encoder.body.blocks.0`, with the BatchNorm inside it.

    Raises:
        ConfigError: a name that the network does not have.
    """
    parts = list(parts or ())
    modules = dict(segmenter.named_modules())
    frozen: list[nn.Module] = []
    for part in parts:
        if part == BATCH_NORM:
            frozen += [module for module in modules.values() if isinstance(module, _BatchNorm)]
        elif part in modules:
            frozen.append(modules[part])
        else:
            known = near(str(part), [BATCH_NORM, *modules])
            problem = f"the network has no part {part}"
            raise OptionError("trainer.freeze", parts, problem=problem, remedy=known)
    for module in frozen:
        # In evaluation from the start: Lightning trains a module in the mode that it finds.
        module.requires_grad_(False).eval()
    if parts and not any(parameter.requires_grad for parameter in segmenter.parameters()):
        raise OptionError("trainer.freeze", parts, problem="nothing is left to train")
    return frozen
