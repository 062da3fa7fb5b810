"""Detect weights that are not finite before they reach a checkpoint."""

from torch import nn

from segsweep.errors import DivergenceError


def check_weights(module: nn.Module, step: int) -> None:
    """Refuse to keep weights that are not finite: gradients may be infinite although the loss is finite.

    Raises:
        DivergenceError: a parameter is NaN or infinite after this step.
    """
    for name, parameter in module.named_parameters():
        if not parameter.isfinite().all():
            raise DivergenceError(f"{name} is NaN or infinite", step)
