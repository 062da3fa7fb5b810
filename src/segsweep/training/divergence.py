"""A loss that is no number: found before it reaches the weights, or before these reach a checkpoint."""

from collections.abc import Sequence

from torch import nn

from segsweep.errors import UserError


class DivergenceError(UserError):
    """The loss of some samples, or a weight, became NaN or infinite in a step (the first is step 1)."""

    def __init__(self, what: str, step: int, ids: Sequence[str] = ()) -> None:
        shown = ", ".join(ids[:16]) + (" …" if len(ids) > 16 else "")
        advice = "lower optimizer.lr, or set trainer.gradient_clip_val"
        if ids:
            what = f"{what} on samples {shown}"
            advice = (
                "look at these samples, lower optimizer.lr, or drop such batches with trainer.on_nan=skip"
            )
        super().__init__(f"step {step}: {what}; the last checkpoint is from before it: {advice}")
        self.step, self.ids = step, list(ids)


def check_weights(module: nn.Module, step: int) -> None:
    """Refuse to keep weights that are no numbers: gradients may be none where the loss still is one.

    Raises:
        DivergenceError: a parameter is NaN or infinite after this step.
    """
    for name, parameter in module.named_parameters():
        if not parameter.isfinite().all():
            raise DivergenceError(f"{name} is NaN or infinite", step)
