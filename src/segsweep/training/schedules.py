"""Learning-rate schedules, counted in optimizer steps and derived from `max_steps`.

Each function returns a scheduler entry for Lightning's `configure_optimizers`.
"""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from segsweep.errors import OptionError


class Schedule(dict[str, Any]):
    """A scheduler and when it takes a step, as Lightning wants to have it.

    Not a plain dictionary, since Hydra looks through all modules for one that a target returns, lest it be a
    module's own: three milliseconds for each run of a sweep.
    """


def poly(optimizer: Optimizer, max_steps: int, val_every: int, power: float = 0.9) -> Schedule:
    """lr · (1 − step / max_steps) ** power (DeepLab).

    Raises:
        ConfigError: a power of 0 or less.
    """
    if power <= 0:
        raise OptionError("power", power, "a number above 0")
    return _every_step(PolynomialLR(optimizer, total_iters=max_steps, power=power))


def cosine(
    optimizer: Optimizer, max_steps: int, val_every: int, min_lr: float = 1e-6, every: int | None = None
) -> Schedule:
    """Half a cosine from lr to `min_lr` (ATONet), which takes a step after every `every` of the optimizer's.

    ATONet's released code steps it once an epoch.

    Raises:
        ConfigError: `every` is below 1 or above `max_steps`.
    """
    every = 1 if every is None else every
    if not 1 <= every <= max_steps:
        raise OptionError("every", every, f"a number of steps from 1 to max_steps ({max_steps})")
    scheduler = CosineAnnealingLR(optimizer, T_max=-(-max_steps // every), eta_min=min_lr)
    return Schedule(_every_step(scheduler), frequency=every)


def step(
    optimizer: Optimizer,
    max_steps: int,
    val_every: int,
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
) -> Schedule:
    """Multiply by `gamma` at each milestone, a share of `max_steps`.

    Raises:
        ConfigError: a milestone outside (0, 1).
    """
    if any(not 0 < share < 1 for share in milestones):
        raise OptionError("milestones", milestones, "shares of max_steps, between 0 and 1")
    return _every_step(
        MultiStepLR(optimizer, [round(share * max_steps) for share in milestones], gamma=gamma)
    )


def staircase(
    optimizer: Optimizer, max_steps: int, val_every: int, every: int = 30_000, factor: float = 0.5
) -> Schedule:
    """Multiply by `factor` after every `every` steps (KSAC on ADE20K, §4.2: halved about every 30 K).

    Raises:
        ConfigError: `every` is below 1.
    """
    if every < 1:
        raise OptionError("every", every, "a number of steps, at least 1")
    return _every_step(StepLR(optimizer, step_size=every, gamma=factor))


def plateau(
    optimizer: Optimizer,
    max_steps: int,
    val_every: int,
    factor: float = 0.5,
    patience: int = 1,
    min_lr: float = 0.0,
) -> Schedule:
    """Multiply by `factor` after more than `patience` validations without a lower validation loss."""
    scheduler = ReduceLROnPlateau(optimizer, factor=factor, patience=patience, min_lr=min_lr)
    return Schedule(
        scheduler=scheduler, interval="step", frequency=val_every, monitor="val_loss", reduce_on_plateau=True
    )


def _every_step(scheduler: LRScheduler) -> Schedule:
    return Schedule(scheduler=scheduler, interval="step")
