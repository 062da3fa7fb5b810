"""TensorBoard and MLflow as services of a run's logger; both are optional extras of the package."""

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec

import numpy as np
from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger

from segsweep.data.labels import full_palette
from segsweep.errors import ConfigError
from segsweep.training.loggers import LoggerOptions, RunInfo, Service
from segsweep.training.results import Picture, Results


def need(package: str) -> None:
    """Raise ConfigError if the package of a logger is not installed; the extra has the package's name."""
    if find_spec(package) is None:
        raise ConfigError(
            f"logger={package}: the package {package} is not installed: pip install 'segsweep[{package}]'"
        )


class TensorBoard(Service):
    """TensorBoard's event files, in the run folder under tensorboard/.

    A resumed run has TensorBoard purge what follows the last complete row.
    """

    shows_pictures = True

    def __init__(self, options: LoggerOptions) -> None:
        super().__init__(options)
        need("tensorboard")

    def open(self, run: RunInfo) -> int:
        """Continue after the last complete row of the event files."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it logs every purge
        self.run, folder = run, run.folder / "tensorboard"
        folder.mkdir(exist_ok=True)
        events = EventAccumulator(str(folder), {"scalars": 0}).Reload()
        self.last_events = {tag: events.Scalars(tag)[-1] for tag in events.Tags()["scalars"]}
        first = self.last_events["step"].step + 1 if "step" in self.last_events else 0
        self.logger = TensorBoardLogger(
            run.folder, folder.name, version="", default_hp_metric=False, purge_step=first
        )
        return first

    def log(self, step: int, figures: Mapping[str, float], pictures: Sequence[Picture]) -> None:
        """Log the pictures, then the row."""
        self._show("validation", step, pictures)
        super().log(step, figures, pictures)

    def _show(self, where: str, step: int, pictures: Sequence[Picture]) -> None:
        """Show image, truth and predictions side by side."""
        colours = full_palette(self.run.palette)
        for one in pictures:
            beside = np.hstack([one.image, *(colours[labels] for labels in one.maps.values())])
            self.logger.experiment.add_image(f"{where}/{one.name}", beside, step, dataformats="HWC")

    def finish(self, step: int, results: Results) -> None:
        """Log figures that are new with the configuration, for TensorBoard's table of runs, and pictures."""
        known = {tag: event.value for tag, event in self.last_events.items()}
        figures = results.figures.items()
        new = {k: v for k, v in figures if not math.isclose(known.get(k, math.nan), v, rel_tol=1e-6)}
        if new:
            self.logger.log_hyperparams(dict(self.run.config), new, step)
            self._show("test", step, results.pictures)
        self.logger.finalize("success")


class Mlflow(Service):
    """MLflow, at the URI of the options or of $MLFLOW_TRACKING_URI, else in mlflow.db beside the run folders.

    MLflow assigns its own run ids; a tag holds ours.
    """

    def __init__(self, options: LoggerOptions) -> None:
        super().__init__(options)
        need("mlflow")

    def open(self, run: RunInfo) -> int:
        """Find the run by its tag, or create it."""
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):  # they log how they set up a database
            logging.getLogger(name).setLevel(logging.WARNING)
        beside = f"sqlite:///{run.folder.parent.resolve() / 'mlflow.db'}"
        uri = self.options.uri or os.environ.get("MLFLOW_TRACKING_URI") or beside
        client, project = MlflowClient(uri), self.options.project
        with suppress(MlflowException):  # it exists, perhaps just created by another run
            client.create_experiment(project)
        experiment = client.get_experiment_by_name(project).experiment_id
        found = client.search_runs([experiment], f"tags.`segsweep.run` = '{run.id}'")
        tags = {"segsweep.run": run.id, "segsweep.sweep": run.group or "", "segsweep.stage": run.job_type}
        tags |= {key: value for key, _, value in (tag.partition("=") for tag in run.tags)}
        id = found[0].info.run_id if found else None
        self.logger = MLFlowLogger(project, run.name, uri, tags, run_id=id)
        if id is None:
            self.logger.log_hyperparams(dict(run.config))
            return 0
        client.update_run(id, status="RUNNING")
        return max((row.step + 1 for row in client.get_metric_history(id, "step")), default=0)

    def log(self, step: int, figures: Mapping[str, float], pictures: Sequence[Picture]) -> None:
        """Log a row, replacing characters that MLflow does not allow in names."""
        named = {re.sub("[^a-zA-Z0-9_/. -]", "_", name): value for name, value in figures.items()}
        super().log(step, named, pictures)
