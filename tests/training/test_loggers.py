"""Loggers by themselves: killed and resumed, several at once, long names, logins, errors that end nothing."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segsweep.errors import ConfigError
from segsweep.runs.layout import STEPS, VALIDATION
from segsweep.training import logger_services
from segsweep.training.logger_services import Mlflow, TensorBoard
from segsweep.training.loggers import RunInfo, RunLogger, Service
from segsweep.training.metrics_file import MetricsFile
from segsweep.training.results import Evaluation, Picture, Results, Weights
from segsweep.training.wandb_files import logged_in
from segsweep.training.wandb_logger import Wandb, cut
from tests.training.wandb_records import artifacts, found, history, summary, tables

CLASSES = ("sky", "road, wet")
SERVICES = {"wandb": Wandb, "tensorboard": TensorBoard, "mlflow": Mlflow}


def info(folder: Path) -> RunInfo:
    palette = ((0, 0, 255), (128, 64, 128))
    return RunInfo("abc", folder, "a name", None, "train", ("x" * 99, "x" * 98), {"lr": 1}, CLASSES, palette)


def train(folder: Path, after: int, until: int, killed: bool = False, service: str = "wandb") -> None:
    """Steps of a run with a row each and a validation at every third, as the recorder tells of them."""
    rows = MetricsFile(folder / STEPS, ("step", "loss", "val_miou"))
    classes = MetricsFile(folder / VALIDATION, ("step", *CLASSES))
    for file in (rows, classes):
        file.rewind(after)
    logger = RunLogger({service: SERVICES[service]}, mode="offline", pictures=1)
    logger.start(info(folder))
    for step in range(after + 1, until + 1):
        row = {"step": step, "loss": 1 / step}
        rows.append(row)
        logger.log(row)
        if step % 3 == 0:
            iou, row = np.array([1 / step, np.nan]), {"step": step, "val_miou": 1 / step}
            classes.append({"step": step, "sky": float(iou[0])})
            rows.append(row)
            logger.validated(step, iou)
            logger.log(row)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    logger.finish(results(folder))


def results(folder: Path) -> Results:
    """All that a run may have to show."""
    weights, parent = (Weights(run, folder / f"{run}.ckpt") for run in ("abc", "parent"))
    for one in (weights, parent):
        one.file.write_text(f"weights of {one.run}")
    classes = {
        "sky": {"iou": 0.5, "low": 0.25, "high": 0.75},
        "road, wet": {"iou": 0.5, "low": None, "high": None},
    }
    labels = np.array([[0, 1, 255]] * 2)
    picture = Picture(
        "seq/1", np.zeros((2, 3, 3), np.uint8), {"truth": labels, "single": labels}, {"miou single": 1.0}
    )
    evaluation = Evaluation("single", classes, np.array([[3, 1], [0, 2]]))
    return Results({"test/single/miou": 0.5}, (evaluation,), (picture,), weights, parent)


def in_a_process(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-c", f"from tests.training.test_loggers import *; train(Path({arguments[0]!r}), "
         f"*{arguments[1:]!r})"],
        cwd=Path(__file__).parents[2], timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_steps_grow_over_kills_and_no_validation_is_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SERVICE", "3-1-tcp-localhost-1")  # another process's, as a notebook leaves it
    in_a_process(str(tmp_path), 0, 400, True)  # enough to fill some of wandb's buffers
    there = [row["_step"] for row in history(tmp_path)]
    in_a_process(str(tmp_path), 390, 400, True)  # and again before its first buffer is full
    in_a_process(str(tmp_path), 390, 402, False)
    *rows, end = history(tmp_path)
    assert 0 < len(there) < 400
    assert [row["_step"] for row in rows] == [row["step"] for row in rows] == list(range(1, 403))
    assert [row["loss"] for row in rows] == [1 / step for step in range(1, 403)]
    validations = {row["step"]: row["val_miou"] for row in rows if "val_miou" in row}
    assert validations == {step: 1 / step for step in range(3, 403, 3)}
    assert validations == {row["step"]: row["iou/sky"] for row in rows if "iou/sky" in row}
    runs = [record.run for record in found(tmp_path)["run"]]
    assert {run.run_id for run in runs} == {"abc"}
    assert summary(tmp_path)["test/single/miou"] == 0.5
    assert (end["_step"], end["step"]) == (403, 402), "the tables have a step of wandb's own"
    found_tables = tables(tmp_path)
    assert found_tables["test/single/classes"]["data"] == [
        ["sky", 0.5, 0.25, 0.75],
        ["road, wet", 0.5, None, None],
    ]
    cells = [
        ["sky", "sky", 3],
        ["sky", "road, wet", 1],
        ["road, wet", "sky", 0],
        ["road, wet", "road, wet", 2],
    ]
    assert found_tables["test/single/confusion_table"]["data"] == cells
    ((name, image, miou),) = found_tables["test/predictions"]["data"]
    assert (name, set(image["masks"]), miou) == ("seq/1", {"truth", "single"}, 1.0)
    models = [(one.name, one.use_after_commit) for one in artifacts(tmp_path, "model")]
    assert models == [("run-parent", True), ("run-abc", False)]
    (tags,) = {tuple(run.tags) for run in runs}
    assert [len(tag) for tag in tags] == [64, 64]


@pytest.mark.slow
def test_tensorboard_has_each_row_once_over_kills(tmp_path):
    """As TensorBoard itself reads the files, which purges what came after the row to go on from."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    in_a_process(str(tmp_path), 0, 40, True, "tensorboard")
    in_a_process(str(tmp_path), 30, 42, False, "tensorboard")
    in_a_process(str(tmp_path), 42, 42, False, "tensorboard")  # a later test: its figures are there already
    events = reader.EventAccumulator(str(tmp_path / "tensorboard"), {"scalars": 0}).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("loss")]
    assert losses == [(step, float(np.float32(1 / step))) for step in range(1, 43)]
    assert [event.step for event in events.Scalars("iou/sky")] == list(range(3, 43, 3))
    assert [(event.step, event.value) for event in events.Scalars("test/single/miou")] == [(42, 0.5)]


def test_tensorboard_shows_image_truth_and_prediction(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger = RunLogger({"tensorboard": TensorBoard}, pictures=1)
    logger.start(info(tmp_path))
    labels = np.zeros((4, 5), dtype=np.int64)
    maps = {"truth": labels, "prediction": labels}
    picture = Picture("one", np.zeros((4, 5, 3), dtype=np.uint8), maps)
    logger.show(3, picture)
    logger.log({"step": 3, "val_miou": 1.0})
    logger.finish(Results({"test/single/miou": 0.5}, pictures=(picture,)))
    events = reader.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name in ("validation/one", "test/one"):
        (image,) = events.Images(name)
        assert (image.step, image.width, image.height) == (3, 15, 4)


@pytest.mark.filterwarnings("ignore")  # SQLAlchemy's about what MLflow does
def test_mlflow_has_each_row_once_over_kills(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    run = tmp_path / "abc"
    run.mkdir()
    in_a_process(str(run), 0, 9, True, "mlflow")
    in_a_process(str(run), 6, 12, False, "mlflow")
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    project = client.get_experiment_by_name("segsweep").experiment_id
    (one,) = client.search_runs([project])
    told = client.get_metric_history(one.info.run_id, "loss")
    assert sorted((metric.step, metric.value) for metric in told) == [(n, 1 / n) for n in range(1, 13)]
    assert (one.info.status, one.data.metrics["test/single/miou"]) == ("FINISHED", 0.5)
    assert one.data.params == {"lr": "1"}


def test_what_is_cut_stays_distinct():
    assert cut("x" * 64, 64) == "x" * 64
    first, second = cut("x" * 65, 64), cut("x" * 64 + "y", 64)
    assert len(first) == len(second) == 64
    assert first != second


@pytest.mark.parametrize("options", [{"mode": "on"}, {"project": "a/b"}, {"project": ""}])
def test_what_wandb_would_refuse_is_refused_before_training(options):
    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=f"logger.{name}={value}: expected"):
        RunLogger({"wandb": Wandb}, **options)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_package_that_is_missing_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setattr(logger_services, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"logger={name}: .* pip install 'segsweep\[{name}\]'"):
        RunLogger({name: SERVICES[name]})


class Kept(Service):
    """A service that keeps what it is told, and has the rows up to a step."""

    shows_pictures = True

    def __init__(self, options, has=0):
        super().__init__(options)
        self.has, self.rows, self.final = has, [], None

    def open(self, run):
        return self.has + 1

    def log(self, step, figures, pictures):
        self.rows.append((step, dict(figures), [picture.name for picture in pictures]))

    def finish(self, step, results):
        self.final = step, results.figures


class Failing(Kept):
    """A service out of order."""

    def log(self, step, figures, pictures):
        raise OSError("no route\nto the server")


def test_each_service_is_told_the_rows_that_it_lacks(tmp_path):
    file = MetricsFile(tmp_path / STEPS, ("step", "loss"))
    file.rewind(0)
    for step in (1, 2, 3):
        file.append({"step": step, "loss": 0.5})
    logger = RunLogger({"new": Kept, "old": lambda options: Kept(options, has=2)}, pictures=2)
    new, old = logger.services.values()
    logger.start(info(tmp_path))
    logger.log({"step": 4, "loss": 0.25})
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    logger.show(4, Picture("one", image, {"truth": image[..., 0]}))
    logger.log({"step": 4, "val_miou": 0.75, "lr": None})
    logger.finish(Results({"test/single/miou": 0.5}))
    last = (4, {"loss": 0.25, "val_miou": 0.75, "step": 4}, ["one"])
    assert new.rows == [*((step, {"loss": 0.5, "step": step}, []) for step in (1, 2, 3)), last]
    assert old.rows == [*new.rows[2:]]
    assert new.final == old.final == (4, {"test/single/miou": 0.5})


def test_a_services_error_ends_nothing_and_is_told_once(caplog, tmp_path):
    logger = RunLogger({"bad": Failing, "good": Kept}, pictures=2)
    good = logger.services["good"]
    logger.start(info(tmp_path))
    with caplog.at_level(logging.INFO, "segsweep"):
        for step in (1, 2, 3):
            logger.log({"step": step, "loss": 1.0})
        logger.finish(Results({}))
    assert [record.getMessage() for record in caplog.records] == [
        "bad: no route; the run goes on without it, and keeps metrics.csv and validation.csv"
    ]
    assert [step for step, *_ in good.rows] == [1, 2, 3]


def test_nobody_is_shown_pictures_for_nothing(tmp_path):
    logger = RunLogger({"bad": Failing}, pictures=2)
    logger.start(info(tmp_path))
    assert (logger.pictures, RunLogger(pictures=2).pictures) == (2, 0)
    logger.log({"step": 1, "loss": 1.0})
    logger.log({"step": 2, "loss": 1.0})
    assert logger.pictures == 0


def test_a_login_is_looked_for_without_the_network(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not logged_in()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password 0123\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert logged_in()
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    assert logged_in()
