"""Doing: one process executes one run folder, from wherever the run stands."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segsweep.errors import UserError
from segsweep.runs import build, environment
from segsweep.runs.failures import one_line
from segsweep.runs.files import write_json
from segsweep.runs.folder import RunFolder
from segsweep.runs.testing import run_tests
from segsweep.training.checkpoints import LAST
from segsweep.training.fit import fit
from segsweep.training.recorder import Progress, Recorder
from segsweep.training.trackers import RunInfo

log = logging.getLogger("segsweep")


def execute(folder: RunFolder, train: bool = True) -> None:
    """Train the run to its end and test it with the strategies that its configuration names.

    What is there already is not done again. With `train=False` an unfinished run is an error.

    Raises:
        UserError: another process holds the run, or what the parts raise.
    """
    with folder.lock(), _recorded(folder):
        config = folder.config()
        if folder.status()["state"] != "done":
            if not train:
                raise UserError(
                    f"run {folder.id} is not trained yet: give its command to segsweep train first"
                )
            _train(folder, config)
        run_tests(folder, config)
        folder.update_status(error=None)


def is_done(folder: RunFolder, tests: dict[str, Any]) -> bool:
    """Whether nothing is left to do: trained, and tested with each of these strategies."""
    if folder.status()["state"] != "done":
        return False
    return set(build.build_strategies({"test": tests})) <= set(folder.strategies())


def _train(folder: RunFolder, config: dict[str, Any]) -> None:
    data = build.build_data(config)
    task = build.build_task(config, data)
    settings = build.trainer_settings(config)
    tracker = build.build_tracker(config)
    write_json(folder.path / "environment.json", environment.describe())
    parameters = sum(p.numel() for p in task.segmenter.parameters())
    started, seconds_before = time.monotonic(), folder.status().get("train_seconds", 0.0)

    def on_progress(progress: Progress) -> None:
        seconds = seconds_before + time.monotonic() - started
        folder.update_status(
            step=progress.step,
            val_miou=progress.val_miou,
            best_miou=recorder.best_miou,
            train_seconds=seconds,
        )
        # On a terminal the progress bar shows this.
        log.log(logging.DEBUG if sys.stderr.isatty() else logging.INFO, _line(progress))

    folder.update_status(state="running", max_steps=settings.max_steps, params=parameters, error=None)
    recorder = Recorder(
        run=_run_info(folder, config, data.classes),
        tracker=tracker,
        train_images=len(data.split(data.train_split)),
        batch_size=config["batch_size"],
        log_every=config["trainer"]["log_every"],
        on_progress=on_progress,
    )
    if (folder.checkpoints / LAST).is_file():
        log.info("going on from the last checkpoint")
    fit(task, data, settings, recorder, folder.checkpoints)
    folder.update_status(state="done")
    tracker.finish(
        {"val_miou": recorder.last["val_miou"], "best_val_miou": recorder.best_miou, "params": parameters}
    )


def _run_info(folder: RunFolder, config: dict[str, Any], classes: tuple[str, ...]) -> RunInfo:
    choices = folder.plan["choices"]
    axes = ("backbone", "head", "dataset")
    return RunInfo(
        id=folder.id,
        folder=folder.path,
        name=f"{'-'.join(choices.get(axis, '?') for axis in axes)}-{folder.id[:6]}",
        group=config["sweep"],
        job_type="train",
        tags=tuple(f"{key}={value}" for key, value in choices.items()),
        config=config,
        classes=classes,
    )


def _line(progress: Progress) -> str:
    figures = {"loss": progress.loss, "lr": progress.lr, "val_miou": progress.val_miou}
    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items() if value is not None)
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return (
        f"step {progress.step}/{progress.max_steps}  {shown}  "
        f"{progress.images_per_s:.1f} images/s  {minutes}:{seconds:02d} left"
    )


@contextmanager
def _recorded(folder: RunFolder) -> Iterator[None]:
    """Keep log.txt, and have status.json say how it ended."""
    with _log_file(folder.log):
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            if folder.status()["state"] == "running":
                folder.update_status(state="interrupted")
            raise
        except BaseException as error:
            log.debug("the run failed", exc_info=True)
            was_done = folder.status()["state"] == "done"
            with suppress(UserError):  # on a full disk the status stays as it was
                folder.update_status(state="done" if was_done else "failed", error=one_line(error))
            raise


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Copy what is logged to log.txt, unless standard output is that file already."""
    if path.exists() and os.path.samestat(os.fstat(1), path.stat()):
        yield
        return
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()
