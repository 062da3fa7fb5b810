"""Train one run from its current state: the one place that builds a Lightning Trainer."""

import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, LambdaCallback, TQDMProgressBar
from pytorch_lightning.strategies import DDPStrategy

from segsweep.config.schema import RunConfig
from segsweep.data.datamodule import DataModule
from segsweep.distributed.ranks import Ranks
from segsweep.errors import ConfigError
from segsweep.rules import micro_batch
from segsweep.training.algorithms import Unrestricted
from segsweep.training.checkpoint_files import AtomicCheckpointIO
from segsweep.training.checkpoints import BestCheckpoint, LastCheckpoint
from segsweep.training.compiling import compile_step
from segsweep.training.divergence import FiniteWatch
from segsweep.training.recorder import Recorder
from segsweep.training.stopping import StopOnSignal
from segsweep.training.sync_batchnorm import synchronise, synchronises
from segsweep.training.task import SegmentationTask

# Lightning's warnings about what is intended here, each with the reason.
QUIET = (
    "does not have many workers",  # num_workers is the user's choice; 0 is right for small runs
    "Checkpoint directory .* exists and is not empty",  # so it does if a run is resumed
    "mid-epoch checkpoint",  # the sampler starts at the checkpoint's step, see StreamBatchSampler
    "isinstance\\(treespec, LeafSpec\\)",  # Lightning 2.6 reads torch's older pytree names
    "is smaller than the logging interval",
    "GPU available but not used",
    "Trying to infer the `batch_size`",
    "`training_step` returned `None`",  # the batch was dropped, and logged as such
    "in eval mode at the start of training",  # frozen parts
    "recommended to use `self.log\\(.*sync_dist=True",  # the figures are already over all ranks
    "srun",
)


def fit(
    task: SegmentationTask,
    data: DataModule,
    config: RunConfig,
    ranks: Ranks,
    recorder: Recorder,
    checkpoints: Path,
    resume: Path | None,
    check: Callable[[], None],
    own: Sequence[Callback] = (),
) -> None:
    """Train to `max_steps`, from `resume` if given, and leave last.ckpt and best.ckpt.

    `check` is called between steps and before a checkpoint is renamed, and may raise. `own` are the user's
    callbacks.

    Raises:
        ConfigError: `trainer.compile` without a compiler.
        PreemptedError: a signal asked for the end; a checkpoint is written.
    """
    quieten()
    trainer = build_trainer(config, ranks, recorder, checkpoints, check, own)
    images = micro_batch(data.batch_size, trainer.world_size, config.trainer.accumulate_grad_batches)
    if synchronises(config.trainer.sync_batchnorm, trainer.world_size, images):
        synchronise(task.segmenter, on_gpu=trainer.strategy.root_device.type == "cuda")
    if config.trainer.compile:
        at_once = trainer.world_size * config.trainer.accumulate_grad_batches == 1
        compile_step(task, trainer.strategy.root_device, at_once)
    # Lightning's ranks ask each other over the devices, in each step, for a signal that StopOnSignal heeds.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    try:
        trainer.fit(task, data, ckpt_path=None if resume is None else str(resume), weights_only=True)
    except SystemExit as exit:
        # Lightning turns a KeyboardInterrupt into an exit.
        if isinstance(exit.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def build_trainer(
    config: RunConfig,
    ranks: Ranks,
    recorder: Recorder,
    checkpoints: Path,
    check: Callable[[], None],
    own: Sequence[Callback] = (),
) -> pl.Trainer:
    """Return a Trainer that counts in steps: one Lightning epoch is the whole run (see data/datamodule.py).

    Several ranks use DDP in the existing process group; SegmentationTask shares buffers. A single process
    gets LightningEnvironment, because under Slurm Lightning would expect a group.
    """
    options, several = config.trainer, ranks.world > 1
    try:
        return pl.Trainer(
            accelerator=options.accelerator,
            devices=ranks.local_world,
            num_nodes=ranks.nodes,
            strategy=DDPStrategy(broadcast_buffers=False) if several else "auto",
            precision=options.precision,  # type: ignore[arg-type]  # the user's string, which Lightning checks
            max_steps=options.max_steps,
            accumulate_grad_batches=options.accumulate_grad_batches,
            gradient_clip_val=options.gradient_clip_val,
            # Lightning counts micro-batches here.
            val_check_interval=options.val_interval() * options.accumulate_grad_batches,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=False,
            callbacks=_callbacks(config, recorder, checkpoints, check, own),
            plugins=[
                AtomicCheckpointIO(recorder.settle),
                TorchElasticEnvironment() if several else LightningEnvironment(),
            ],
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(f"trainer: {str(error).splitlines()[0]}") from error


def _callbacks(
    config: RunConfig,
    recorder: Recorder,
    checkpoints: Path,
    check: Callable[[], None],
    own: Sequence[Callback],
) -> list[Callback]:
    due, options = config.checkpoint, config.trainer
    last = LastCheckpoint(checkpoints, due.every, options.val_interval(), options.max_steps, due.minutes)
    checked = -math.inf

    def check_each_second(*_: object) -> None:  # not in each step: it may access a file server
        nonlocal checked
        if time.monotonic() - checked >= 1:
            checked = time.monotonic()
            check()

    # In the order of calls within a step: losses are looked at before the recorder writes their mean, and the
    # recorder and the user's callbacks come before what writes checkpoints, which contain their state.
    before, best = LambdaCallback(on_train_batch_end=check_each_second), BestCheckpoint(checkpoints)
    watch = FiniteWatch(options.log_every)
    writers = [best, last, StopOnSignal(last)]
    callbacks: list[Callback] = [before, watch, recorder, *own, *writers, Unrestricted()]
    if options.ema_decay is not None:
        callbacks.insert(0, MovingAverage(decay=options.ema_decay))
    if sys.stderr.isatty():
        callbacks.append(ProgressBar(recorder))
    return callbacks


class MovingAverage(EMAWeightAveraging):
    """Lightning's average, with its counter where the process reads it in each step: on the CPU."""

    state_key = "EMAWeightAveraging"  # in checkpoints, as those of earlier versions have it

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the average."""
        super().setup(trainer, pl_module, stage)
        assert self._average_model is not None
        self._average_model.n_averaged = self._average_model.n_averaged.cpu()


class ProgressBar(TQDMProgressBar):
    """Lightning's bar over the whole run, with loss, learning rate and images/s; tqdm adds the time left."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        """Label the bar `train`: Lightning's one epoch is the whole run."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description("train")

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the figures to the right of the bar."""
        progress = self.recorder.progress(trainer)
        figures = {"loss": progress.loss, "lr": progress.lr, "images/s": progress.images_per_s}
        shown = {name: f"{value:.4g}" for name, value in figures.items() if value is not None}
        miou = progress.val_miou
        return shown if miou is None else {**shown, "val mIoU": f"{miou:.2%}"}


def quieten() -> None:
    """Silence Lightning's warnings about what is intended here."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message=f".*{message}")
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
