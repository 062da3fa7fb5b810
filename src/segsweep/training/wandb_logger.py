"""Weights & Biases as a service of a run's logger."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import WandbLogger

from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import ConfigError
from segsweep.training.loggers import LoggerOptions, RunInfo, Service
from segsweep.training.results import Evaluation, Picture, Results, Weights
from segsweep.training.wandb_files import last_step, logged_in

MODES = ("offline", "online", "auto")
SERVICE = "WANDB_SERVICE"
"""Variable in which wandb passes its service to child processes; it contains the owner's pid."""
STAGING = "WANDB_DATA_DIR"
"""Variable that names the folder in which wandb keeps the files of tables until they are uploaded."""
NOT_IN_A_PROJECT = "/\\#?%:"
LONGEST_TAG, LONGEST_NAME = 64, 128  # characters that wandb accepts
LONGEST_SIDE = 384
"""Pixels of a picture: a few pictures of every validation stay within a megabyte or two."""
CONFUSION = ("Actual", "Predicted", "nPredictions")  # columns of wandb's own chart

log = logging.getLogger("segsweep")


class Wandb(Service):
    """Weights & Biases: group = sweep, job_type = stage, tags and name = the run's place in its sweep.

    The wandb run has our run's id, so that resuming continues it. `mode` is offline (everything stays in the
    run folder until `segsweep wandb sync`), online, or auto (online if the user is logged in).

    Raises:
        ConfigError: the mode is unknown, or wandb does not allow the project name.
    """

    shows_pictures = True

    def __init__(self, options: LoggerOptions) -> None:
        super().__init__(options)
        if options.mode not in MODES:
            raise ConfigError(f"logger.mode={options.mode}: expected offline, online or auto")
        if not 0 < len(options.project) <= LONGEST_NAME or set(options.project) & set(NOT_IN_A_PROJECT):
            raise ConfigError(
                f"logger.project={options.project}: expected 1 to {LONGEST_NAME} characters, none of them "
                f"{' '.join(NOT_IN_A_PROJECT)}"
            )

    def open(self, run: RunInfo) -> int:
        """Open or continue the wandb run of the same id."""
        if f"-{os.getpid()}-" not in os.environ.get(SERVICE, ""):
            # The service of a parent process, which would consider a killed run to be in use forever.
            os.environ.pop(SERVICE, None)
        import wandb

        # Its debug.log would get the whole configuration again with every picture.
        logging.getLogger("wandb").setLevel(logging.WARNING)
        online = self.options.mode == "online" or (self.options.mode == "auto" and logged_in())
        self.folder, known = run.folder, last_step(run.folder)
        self.labels = {**dict(enumerate(run.classes)), IGNORE_INDEX: "ignored"}
        self.run = wandb.init(
            project=self.options.project,
            id=run.id,
            name=cut(run.name, LONGEST_NAME),
            group=None if run.group is None else cut(run.group, LONGEST_NAME),
            job_type=run.job_type,
            tags=list(dict.fromkeys(cut(tag, LONGEST_TAG) for tag in run.tags)),
            config=dict(run.config),
            dir=run.folder,
            mode="online" if online else "offline",
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")
        self.logger = StepLogger(experiment=self.run)
        if not online:
            log.info(f"wandb: kept offline; segsweep wandb sync {run.id} uploads it (or logger.mode=online)")
        # Online the server knows the last step; offline the files do.
        self.next = int(self.run.starting_step) if online else known + 1
        return self.next

    def log(self, step: int, figures: Mapping[str, float], pictures: Sequence[Picture]) -> None:
        """Log a row with its pictures: images with truth and prediction as masks."""
        shown = {f"validation/{one.name}": self._image(one) for one in pictures}
        super().log(step, {**figures, **shown}, ())
        self.next = step + 1

    def finish(self, step: int, results: Results) -> None:
        """Log tables, matrices and artifacts in a row of their own, write the summary and close the run."""
        self.run.summary.update(dict(results.figures))
        with _staging(self.folder / "wandb" / "data"):
            charts = {key: chart for one in results.evaluations for key, chart in _charts(one).items()}
            if results.pictures:
                charts["test/predictions"] = self._predictions(results.pictures)
            if charts:  # a row of the last step is closed, so they get the next one of wandb's steps
                self.run.log({**charts, "step": step}, step=max(self.next, step + 1), commit=True)
            if results.parent is not None:
                self._use(results.parent)
            if results.weights is not None:
                self.run.log_artifact(_artifact(results.weights, results.figures))
            self.run.finish()

    def _image(self, one: Picture) -> Any:
        import wandb

        side = min(1.0, LONGEST_SIDE / max(one.image.shape[:2]))
        size = tuple(max(1, round(side * n)) for n in one.image.shape[1::-1])
        masks = {
            kind: {
                "mask_data": np.array(
                    Image.fromarray(labels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
                ),
                "class_labels": self.labels,
            }
            for kind, labels in one.maps.items()
        }
        return wandb.Image(Image.fromarray(one.image).resize(size), masks=masks, file_type="jpg")

    def _predictions(self, pictures: Sequence[Picture]) -> Any:
        """Return a table of test images, with truth and every test's prediction as masks."""
        import wandb

        figures = list(dict.fromkeys(key for one in pictures for key in one.figures))
        rows = [[one.name, self._image(one), *(one.figures.get(key) for key in figures)] for one in pictures]
        return wandb.Table(columns=["id", "image", *figures], data=rows)

    def _use(self, parent: Weights) -> None:
        """State that the run began with its parent's weights.

        Offline wandb's use_artifact raises, although what it writes for a new artifact can be written then
        too. Name and content are those that the parent logs, so a server takes both for the same.
        """
        if self.run.offline:
            self.run._log_artifact(_artifact(parent), is_user_created=True, use_after_commit=True)
        else:
            self.run.use_artifact(_artifact(parent))


class StepLogger(WandbLogger):
    """Lightning's logger with the optimizer step as wandb's step, which otherwise counts rows."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row and close its step."""
        self.experiment.log(dict(metrics), step=step, commit=True)


def _charts(one: Evaluation) -> dict[str, Any]:
    """Return a test's table of classes, and its confusion matrix as wandb's own chart draws one."""
    import wandb

    names, figures = list(one.classes), list(next(iter(one.classes.values()), {}))
    rows = [[name, *(one.classes[name][key] for key in figures)] for name in names]
    cells = [[names[i], names[j], int(pixels)] for (i, j), pixels in np.ndenumerate(one.confusion)]
    return {
        f"test/{one.name}/classes": wandb.Table(columns=["class", *figures], data=rows),
        f"test/{one.name}/confusion": wandb.plot_table(
            vega_spec_name="wandb/confusion_matrix/v1",
            data_table=wandb.Table(columns=list(CONFUSION), data=cells),
            fields={column: column for column in CONFUSION},
            string_fields={"title": f"{one.name}: pixels"},
        ),
    }


def _artifact(weights: Weights, metadata: Mapping[str, float] | None = None) -> Any:
    """Return a reference to the weights of a run, by their content; nothing of them is uploaded."""
    import wandb

    artifact = wandb.Artifact(f"run-{weights.run}", "model", metadata=dict(metadata or {}))
    artifact.add_reference(weights.file.resolve().as_uri(), name=weights.file.name)
    return artifact


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Have wandb keep files for upload in a folder of the run, and not in the user's home."""
    before = os.environ.get(STAGING)
    os.environ[STAGING] = str(folder.resolve())
    try:
        yield
    finally:
        os.environ.pop(STAGING)
        if before is not None:
            os.environ[STAGING] = before


def cut(text: str, length: int) -> str:
    """Return the text cut to `length` characters; a hash keeps texts with a common beginning distinct."""
    mark = hashlib.sha256(text.encode()).hexdigest()[:6]
    return text if len(text) <= length else f"{text[: length - len(mark) - 1]}…{mark}"
