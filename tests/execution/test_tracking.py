"""What wandb holds of a run that was trained and tested for real, offline."""

import base64
import csv
import hashlib
import json
import shutil
import signal
from pathlib import Path

import pytest

from segsweep.commands.runs import verify
from segsweep.config.values import check_values
from segsweep.errors import ConfigError
from segsweep.execution.execute import execute
from segsweep.execution.tracking import run_info
from segsweep.planning.plan import Member, write_all
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.sweep import Sweep
from segsweep.training.metrics_file import MetricsFile
from tests.execution.test_resume import LONGER, kill_when
from tests.support.commands import TINY, segsweep
from tests.support.composing import composed, configuration, member
from tests.training.wandb_records import artifacts, config, found, history, summary, tables

WANDB = ("logger=wandb", "logger.mode=offline", "logger.pictures=1", "trainer.val_every=2")


def swept(*members: tuple[str, ...]) -> list[RunFolder]:
    """The planned runs of a sweep."""
    with configuration():
        found: list[Member] = [composed(*TINY, *WANDB, "sweep=mine", *own) for own in members]
    write_all(found)
    Sweep.of(found).write(found)
    return [member.folder for member in found]


def figures(run: RunFolder, test: str) -> dict[str, float]:
    """A test's figures as its folder has them."""
    metrics = json.loads((run.tests / test / "metrics.json").read_text())
    names = ("miou", "pixel_accuracy", "fwiou", "boundary_iou", "images")
    return {f"test/{test}/{name}": metrics[name] for name in names if metrics[name] is not None}


def check_end(run: RunFolder, *tests: str) -> None:
    """What wandb has of a run's end: figures, intervals, tables, matrices, pictures with masks, weights."""
    known, found_tables, charts = summary(run.path), tables(run.path), chart_specs(run.path)
    of_tests = {f"test/{test}/{kind}" for test in tests for kind in ("classes", "confusion_table")}
    assert found_tables.keys() == {"test/predictions", *of_tests}
    for test in tests:
        metrics = json.loads((run.tests / test / "metrics.json").read_text())
        assert figures(run, test).items() <= known.items()
        for figure in ("miou", "pixel_accuracy", "fwiou"):
            low, high = (known[f"test/{test}/{figure}_{end}"] for end in ("low", "high"))
            assert low <= known[f"test/{test}/{figure}"] <= high
        classes = found_tables[f"test/{test}/classes"]
        assert classes["columns"] == ["class", "iou", "low", "high", "boundary_iou", "accuracy"]
        assert {row[0]: row[1] for row in classes["data"]} == {
            name: own["iou"] for name, own in metrics["per_class"].items()
        }
        with (run.tests / test / "confusion.csv").open() as file:
            header, *rows = csv.reader(file)
        cells = [[row[0], name, int(n)] for row in rows for name, n in zip(header[1:], row[1:], strict=True)]
        assert found_tables[f"test/{test}/confusion_table"]["data"] == cells
        assert charts[f"test/{test}/confusion"] == "wandb/confusion_matrix/v1"
    predictions = found_tables["test/predictions"]
    assert predictions["columns"] == ["id", "image", *(f"miou {test}" for test in sorted(tests))]
    assert len(predictions["data"]) == 3
    for _, image, *_ in predictions["data"]:
        assert set(image["masks"]) == {"truth", *tests}
    written = {artifact.name: artifact for artifact in artifacts(run.path, "model")}
    (content,) = written[f"run-{run.id}"].manifest.contents
    assert content.ref == (run.checkpoints / "last.ckpt").as_uri()
    assert content.digest == md5(run.checkpoints / "last.ckpt")


def chart_specs(run: Path) -> dict[str, str]:
    """wandb's own charts that a run's configuration names, by key."""
    updates = [item for record in found(run)["config"] for item in record.config.update]
    return {
        item.nested_key[-1]: json.loads(item.value_json)["panel_config"]["panelDefId"]
        for item in updates
        if "visualize" in item.nested_key
    }


def md5(file: Path) -> str:
    return base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode()


def test_a_run_its_tests_a_later_test_and_a_child(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSWEEP_RUNS", str(tmp_path / "runs"))
    run, _ = swept(("seed=0", "head.rates=[1,2]"), ("seed=1", "head.rates=[1,3]"))
    execute(run)
    started = found(run.path)["run"][-1].run
    assert (started.run_id, started.run_group, started.job_type) == (run.id, "mine", "train")
    assert set(started.tags) == {"head.rates=[1,2]", "seed=0"}
    assert started.display_name == f"head.rates=[1,2] seed=0 {run.id[:6]}"
    columns = config(run.path)
    assert columns["choice"]["head"] == "aspp"
    assert columns["head"]["rates"] == [1, 2]
    assert columns["axes"] == {"head.rates": "[1,2]", "seed": "0"}
    assert columns["run"] == {"stage": None, "sweep": "mine", "parent": None}
    rows = history(run.path)
    assert [row["_step"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 4], "the last has the tables"
    assert [row["step"] for row in rows if "val_miou" in row and "iou/ring" in row] == [2, 4]
    status, known = run.status(), summary(run.path)
    assert known["best_val_miou"] == status.best_miou
    assert known["params"] == status.params
    check_end(run, "single")
    assert "exit" in found(run.path)
    assert len(list(run.path.glob("wandb/offline-run-*/files/media/images/validation/*.jpg"))) == 2
    assert list(verify.check(run)) == []  # validation.csv is there beside any logger
    assert run.is_complete(run.config())
    asked = run.config().changed(test={"flip": {**run.config().test["single"], "flip": True}})
    execute(run, train=False, asked=asked)
    files = sorted(run.path.glob("wandb/offline-run-*"))
    shutil.rmtree(files[-1])  # as if killed between the test's last file and wandb's
    run.update_status(untold=True)
    assert not run.is_complete(asked)
    execute(run, train=False, asked=asked)
    assert run.is_complete(asked)
    check_end(run, "single", "flip")
    assert summary(run.path)["best_val_miou"] == status.best_miou
    assert [row["_step"] for row in history(run.path)] == [1, 2, 3, 4, 5, 6]
    check_child(run)


def check_child(run: RunFolder) -> None:
    """A run that begins with another's weights names them as the other does, by name and digest."""
    (child,) = swept((f"init={run.id}", "test=[]", "sweep=children"))
    execute(child)
    used, own = artifacts(child.path, "model")
    (logged,) = {(one.name, one.digest) for one in artifacts(run.path, "model")}
    assert (used.name, used.digest) == logged
    assert used.use_after_commit
    assert own.name == f"run-{child.id}"
    assert not own.use_after_commit
    assert config(child.path)["run"]["parent"] == run.id


def test_a_stage_is_the_job_type_and_part_of_the_name(chain):
    told = run_info(chain[1], chain[1].config(), (), ())
    assert told.job_type == "stage1"
    assert told.name.startswith("stage1 ")


def test_a_run_alone_is_told_by_what_it_was_asked_for(tmp_path):
    one = member(*TINY, *WANDB, f"runs_dir={tmp_path}", "test=[ms]")
    write_all([one])
    tags = run_info(one.folder, one.folder.config(), (), ()).tags
    assert {"head=aspp", "head.rates=[1,2]"} <= set(tags)
    assert not {"logger=wandb", "test=[ms]", "trainer.accelerator=cpu"} & set(tags)


def test_several_loggers_are_a_list_and_several_heads_are_refused():
    node = member("logger=[csv,wandb,tensorboard]", "logger.pictures=2", "logger.mode=offline").config[
        "logger"
    ]
    assert set(node["services"]) == {"wandb", "tensorboard"}
    assert (node["pictures"], node["mode"], node["project"]) == (2, "offline", "segsweep")
    with pytest.raises(ConfigError, match=r"logger\.pictures=many: expected a number of images"):
        check_values(member("logger=[csv,wandb]", "logger.pictures=many").config)
    with pytest.raises(ConfigError) as error:
        member("head=[aspp,ksac]")
    assert str(error.value).startswith("head=[aspp,ksac]: expected one choice; -m head=aspp,ksac takes one")


@pytest.mark.slow
def test_kill_9_and_the_same_command_again(tmp_path):
    for step in (1, 6, 11, 19):
        kill_when(tmp_path, step, signal.SIGKILL, *WANDB)
    segsweep("train", *LONGER, *WANDB, cwd=tmp_path)
    (run,) = (plan.parent for plan in tmp_path.glob("runs/*/plan.json"))
    rows = history(run)
    assert [row["_step"] for row in rows] == list(range(1, 26))
    assert [row["step"] for row in rows] == [*range(1, 25), 24]
    told = {row["step"]: row["val_miou"] for row in rows if "val_miou" in row}
    recorded = MetricsFile.read(run / "metrics.csv")
    assert told == {row["step"]: row["val_miou"] for row in recorded if "val_miou" in row}
    assert {record.run.run_id for record in found(run)["run"]} == {run.name}
    check_end(RunFolder(run), "single")
