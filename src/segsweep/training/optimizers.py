"""Optimizers and parameter groups: a pretrained encoder may have its own learning rate."""

import fnmatch
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, AdamW, Optimizer

from segsweep.errors import ConfigError, OptionError, UserError, near
from segsweep.networks import Segmenter

BATCH_NORM = "batch_norm"
FUSING = ("cuda", "cpu")
"""Devices for which torch has fused kernels."""


def with_schedule(
    optimizer: Callable[[Segmenter], Optimizer],
    schedule: Callable[..., dict[str, Any]],
    segmenter: Segmenter,
    **run: int,
) -> tuple[Optimizer, dict[str, Any]]:
    """Return a segmenter's optimizer and its schedule; `run` holds max_steps and val_every.

    Raises:
        ConfigError: an option is invalid for them or for torch's classes.
    """
    part = "optimizer"
    try:
        made = optimizer(segmenter)
        made.register_load_state_dict_pre_hook(keep_kernel)
        made.register_load_state_dict_post_hook(match_layout)
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
    pretrained_parts: Sequence[str] | None = None,
) -> Optimizer:
    """Return SGD with momentum over the segmenter's parameter groups."""
    factors = pretrained_lr_factor, pretrained_weight_decay_factor
    groups = parameter_groups(segmenter, lr, weight_decay, *factors, pretrained_parts)
    fused = can_fuse(segmenter)
    return SGD(groups, lr, momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused)


def adamw(
    segmenter: Segmenter,
    lr: float,
    betas: Sequence[float] = (0.9, 0.999),
    weight_decay: float = 0.01,
    pretrained_lr_factor: float = 1.0,
    pretrained_weight_decay_factor: float = 1.0,
    pretrained_parts: Sequence[str] | None = None,
) -> Optimizer:
    """Return AdamW over the segmenter's parameter groups."""
    factors = pretrained_lr_factor, pretrained_weight_decay_factor
    groups = parameter_groups(segmenter, lr, weight_decay, *factors, pretrained_parts)
    fused = can_fuse(segmenter)
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay, fused=fused)


def can_fuse(segmenter: Segmenter) -> bool:
    """Return whether torch has a kernel here that updates all parameters at once, which is faster."""
    return all(p.device.type in FUSING and p.is_floating_point() for p in segmenter.parameters())


def unfuse(optimizer: Optimizer) -> None:
    """Have an optimizer that has not stepped yet update parameter by parameter.

    A fused one unscales float16 gradients within its step, so that they cannot be clipped before.
    """
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    for group in (optimizer.defaults, *optimizer.param_groups):
        group["fused"] = False


def keep_kernel(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's state with this one's way to compute: an older checkpoint's was not fused."""
    ways = ("fused", "foreach")
    now = [{way: group[way] for way in ways if way in group} for group in optimizer.param_groups]
    groups = [{**saved, **own} for saved, own in zip(state["param_groups"], now, strict=False)]
    return {**state, "param_groups": groups + state["param_groups"][len(groups) :]}


def match_layout(optimizer: Optimizer) -> None:
    """Lay out the state in memory as its parameters: fused kernels read both in order, whatever the strides.

    A checkpoint may be of a network in another layout.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def parameter_groups(
    segmenter: Segmenter,
    lr: float,
    weight_decay: float,
    lr_factor: float,
    weight_decay_factor: float,
    parts: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the group of all but the encoder, then the encoder's, if there is one, with the factors applied.

    ATONet trains the pretrained layers at a tenth of both. The factors do not apply to an encoder that starts
    from random weights. With `parts`, patterns of names within the encoder such as `*.layer?.*.conv?.weight`,
    they apply to what these match; the rest is a third group.

    Raises:
        ConfigError: a pattern that matches nothing.
    """
    if segmenter.encoder is None or not segmenter.encoder.has_pretrained_weights:
        lr_factor = weight_decay_factor = 1.0
    by_name, within = dict(segmenter.named_parameters()), "encoder."
    encoder = {name.removeprefix(within): p for name, p in by_name.items() if name.startswith(within)}
    outside = [p for name, p in by_name.items() if not name.startswith(within)]
    chosen = encoder.keys() if parts is None else _matching(encoder, parts)
    rest = [parameter for name, parameter in encoder.items() if name not in chosen]
    groups = [
        (outside, lr, weight_decay),
        (
            [encoder[name] for name in encoder if name in chosen],
            lr * lr_factor,
            weight_decay * weight_decay_factor,
        ),
        (rest, lr, weight_decay),
    ]
    return [{"params": some, "lr": lr, "weight_decay": decay} for some, lr, decay in groups if some]


def _matching(names: Collection[str], patterns: Sequence[str]) -> set[str]:
    found = {pattern: fnmatch.filter(names, pattern) for pattern in map(str, patterns)}
    for pattern, matches in found.items():
        if not matches:
            problem = f"no parameter of the encoder is named {pattern}"
            remedy = near(pattern, names)
            raise OptionError("pretrained_parts", list(patterns), problem=problem, remedy=remedy)
    return {name for matches in found.values() for name in matches}


def freeze(segmenter: Segmenter, parts: Sequence[str] | None) -> list[nn.Module]:
    """Freeze parts; return the modules that must stay in evaluation mode while the others train.

    `batch_norm` is every BatchNorm, weights and running statistics (as DeepLab fine-tunes); any other part is
    the name of a module, such as `encoder` or `encoder.body.blocks.0`, including the BatchNorm inside it.

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
        # Evaluation mode from the start, because Lightning keeps the mode of each module.
        module.requires_grad_(False).eval()
    if parts and not any(parameter.requires_grad for parameter in segmenter.parameters()):
        raise OptionError("trainer.freeze", parts, problem="nothing is left to train")
    return frozen
