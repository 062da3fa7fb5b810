"""The options `trainer.*` and `checkpoint.*`."""

from dataclasses import dataclass
from math import isqrt

from segsweep.config.option import identity, setting
from segsweep.errors import OptionError
from segsweep.rules import ABOVE_0, COUNT, DECAY, DEVICES, FROM_0, STEPS, WORDS, Rule, one_of

AUTO = "auto"
PRECISIONS = (AUTO, "32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
"""Lightning's names, and `auto`, which planning replaces."""


@dataclass(frozen=True)
class TrainerConfig:
    """Length, precision and device of a run. Options with Lightning's names mean the same as there."""

    max_steps: int = identity(500, "optimizer steps", STEPS)
    val_every: int | None = identity(
        None,
        "steps between validations, a divisor of max_steps; null: up to five, evenly spread",
        STEPS.or_null(),
    )
    accelerator: str = setting("auto", "cpu, gpu, auto …", one_of("auto", "cpu", "gpu", "cuda"))
    devices: int | str = setting(
        1, "GPUs, or processes on the CPU; auto: all GPUs. batch_size is divided among them", DEVICES
    )
    sync_batchnorm: bool | str = setting(
        "auto",
        "BatchNorm over all devices: auto (if each has fewer than 16 images at a time), true, false",
        Rule(lambda v: v in ("auto", True, False), "auto, true or false"),
    )
    precision: str = identity(
        AUTO,
        "32-true, bf16-mixed, 16-mixed …; auto: bf16-mixed if the GPU where the run is planned has it, else "
        "32-true (to plan for other machines, name it)",
        one_of(*PRECISIONS),
    )
    compile: bool = setting(
        False,
        "torch.compile for the training step (minutes at first; needs a C++ compiler), with CUDA graphs on "
        "one GPU without accumulation",
    )
    accumulate_grad_batches: int = identity(
        1,
        "micro-batches per optimizer step; batch_size is divided among them. The loss is the step's mean",
        COUNT,
    )
    gradient_clip_val: float | None = identity(None, "largest norm of the gradient", FROM_0.or_null())
    ema_decay: float | None = identity(
        None, "such as 0.999: validate and test an exponential moving average of the weights", DECAY.or_null()
    )
    freeze: list[str] | None = identity(
        None,
        "parts not to train: [encoder], [batch_norm] (with its statistics), or others by name",
        WORDS.or_null(),
    )
    deterministic: bool = setting(
        True,
        "on a GPU, only algorithms that give the same bits each time, so that a run resumes exactly; "
        "false: any",
    )
    on_nan: str = setting(
        "stop",
        "a loss that is not finite: stop (the run fails, its samples named) or skip (drop the batch; slower "
        "on a GPU, as each loss is read)",
        one_of("stop", "skip"),
    )
    on_oom: str = setting(
        "fail",
        "out of memory: fail, or shrink (smaller micro-batches at the same batch_size, noted)",
        one_of("fail", "shrink"),
    )
    log_every: int = setting(10, "steps between the rows of metrics.csv; losses are read then", STEPS)

    def val_interval(self) -> int:
        """Return the steps between validations, such that the last one falls on the last step.

        If `val_every` is None, the shortest interval that divides `max_steps` into at most five.

        Raises:
            OptionError: `val_every` does not divide `max_steps`, so the last step would not be validated.
        """
        wanted, steps = self.val_every, self.max_steps
        # Asked of every member of a sweep: up to the root, as each divisor there has its counterpart above.
        low = [d for d in range(1, isqrt(steps) + 1) if steps % d == 0]
        divisors = sorted({*low, *(steps // d for d in low)})
        if wanted is None:
            return next(d for d in divisors if steps // d <= 5)
        if wanted < steps and steps % wanted:
            closest = sorted(sorted(divisors, key=lambda d: abs(d - wanted))[:3])
            problem = f"does not divide trainer.max_steps={steps}, so its end would not be validated"
            raise OptionError("trainer.val_every", wanted, problem=problem, remedy=f"use one of {closest}")
        return min(wanted, steps)


@dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written, and which one is tested."""

    every: int = setting(
        200, "steps between checkpoints; one is always written before a validation and at the end", STEPS
    )
    minutes: float | None = setting(None, "and after so many minutes", ABOVE_0.or_null())
    test: str = setting(
        "last",
        "which weights are tested: last (as the papers) or best (by validation mIoU)",
        Rule(lambda v: v in ("last", "best"), "last or best"),
    )
