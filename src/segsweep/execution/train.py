"""Train one run: from its folder to last.ckpt at the last step."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.config.values import check_values
from segsweep.data.dataset import SegmentationDataset
from segsweep.distributed.collectives import broadcast
from segsweep.distributed.ranks import Ranks, gpus
from segsweep.execution import environment
from segsweep.execution.start import start
from segsweep.execution.tracking import run_info
from segsweep.networks.segmenter import inference_parameters
from segsweep.runs import layout
from segsweep.runs.contents import State, Status
from segsweep.runs.documents import write_json
from segsweep.runs.folder import RunFolder
from segsweep.runs.lease import Lease
from segsweep.training.algorithms import algorithms
from segsweep.training.fit import fit
from segsweep.training.loggers import RunLogger
from segsweep.training.recorder import Progress, Recorder

log = logging.getLogger("segsweep")


def train(
    folder: RunFolder, config: RunConfig, status: Status, ranks: Ranks, lease: Lease | None, logger: RunLogger
) -> None:
    """Train the run from the step it has reached to its end; only rank 0 has a `lease` and writes.

    Raises:
        UserError: as the parts raise it, see `failures.classify`.
    """
    check_values(config)
    if status.shrunk_to:  # it ran out of memory before
        config = config.changed(trainer={**config["trainer"], "accumulate_grad_batches": status.shrunk_to})
    data = builders.build_data(config)
    own = builders.build_callbacks(config)
    task = builders.build_task(config)
    resume, origin = start(folder, config, task.segmenter)
    resume = broadcast(resume)
    parameters = inference_parameters(task.segmenter)
    if lease is not None:
        log.info(f"starting from {origin}")
        micro_batches = config.trainer.accumulate_grad_batches
        _note_environment(folder, ranks.world, micro_batches, goes_on=resume is not None)
        first = {} if resume is not None else {"origin": origin}
        folder.update_status(
            state=State.RUNNING,
            max_steps=config.trainer.max_steps,
            params=parameters,
            error=None,
            failure=None,
            **first,
        )
    recorder = _recorder(folder, config, data.dataset, logger, task.loss.parts)
    with _algorithms(folder, config, leads=lease is not None):
        fit(task, data, config, ranks, recorder, folder.checkpoints, resume, folder.check_ours, own)
    if lease is not None:
        folder.update_status(state=State.DONE)


def _algorithms(folder: RunFolder, config: RunConfig, leads: bool) -> AbstractContextManager[None]:
    """Choose algorithms if the run is on a GPU, and record those that are not deterministic."""

    def note(operation: str) -> None:
        log.warning(f"{operation} has no deterministic algorithm here: another start may give other bits")
        if leads:
            known = folder.status().nondeterministic
            folder.update_status(nondeterministic=tuple(dict.fromkeys((*known, operation))))

    on_gpu = gpus(config.trainer.accelerator) > 0
    return algorithms(config.trainer.deterministic, note) if on_gpu else nullcontext()


def _recorder(
    folder: RunFolder, config: RunConfig, data: SegmentationDataset, logger: RunLogger, parts: Sequence[str]
) -> Recorder:
    write = _progress_writer(folder)
    recorder = Recorder(
        run=run_info(folder, config, data.classes, data.palette),
        logger=logger,
        train_images=len(data.split(data.train_split)),
        batch_size=config.batch_size,
        log_every=config.trainer.log_every,
        on_progress=lambda progress: write(progress, recorder),
        check=folder.check_ours,
        parts=parts,
    )
    return recorder


def _progress_writer(folder: RunFolder) -> Callable[[Progress, Recorder], None]:
    """Return a function that writes progress to status.json and the log; time adds up over restarts."""
    started, seconds_before = time.monotonic(), folder.status().train_seconds or 0.0

    def write(progress: Progress, recorder: Recorder) -> None:
        folder.update_status(
            step=progress.step,
            loss=progress.loss,
            val_miou=progress.val_miou,
            best_miou=recorder.best_miou,
            train_seconds=seconds_before + time.monotonic() - started,
            seconds_left=progress.seconds_left,
            dropped_batches=progress.dropped,
        )
        # On a terminal the progress bar shows this.
        log.log(logging.DEBUG if sys.stderr.isatty() else logging.INFO, _line(progress))

    return write


def _note_environment(folder: RunFolder, world: int, micro_batches: int, goes_on: bool) -> None:
    """Record the environment; warn if the run resumes in another one."""
    now = environment.describe(world)
    before = folder.environment() if goes_on else None
    if before is not None and (changes := environment.changes(before, now, micro_batches)):
        log.warning(f"going on under another environment than before: {'; '.join(changes)}")
        folder.update_status(environment_changes=(*folder.status().environment_changes, *changes))
    folder.check_ours()
    write_json(folder.path / layout.ENVIRONMENT, now.plain())


def _line(progress: Progress) -> str:
    figures = {"loss": progress.loss, "lr": progress.lr}
    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items() if value is not None)
    if progress.val_miou is not None:
        shown += f"  val mIoU {100 * progress.val_miou:.2f} %"
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return (
        f"step {progress.step}/{progress.max_steps}  {shown}  "
        f"{progress.images_per_s:.1f} images/s  {minutes}:{seconds:02d} left"
    )
