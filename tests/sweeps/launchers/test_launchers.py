"""One test for all launchers: the same sweep has the same runs, states and exit status under each.

Two chains share their first stage and one fails at its own beginning; mended, the same command goes on.
"""

import json
from pathlib import Path

import pytest
import yaml

from segsweep.runs.folder import RunFolder, all_runs
from segsweep.runs.journal import DONE, FAILED, Journal
from tests.support.commands import TINY, segsweep, table

OWN = ("batch_size", "head", "trainer.max_steps")
COMMON = (
    *(option for option in TINY if not option.startswith(OWN)),
    "batch_size=2", "dataset.train_images=4", "dataset.val_images=1", "checkpoint.every=9",
    "test=[]", "stages=chain", "sweep=mine",
)  # fmt: skip
LAUNCHERS = {
    "segsweep": (),
    "pool": ("hydra.launcher.gpus=none", "hydra.launcher.runs_per_gpu=2"),
    "joblib": ("hydra.launcher.n_jobs=2",),
    "basic": (),
}
FAILS = """
from pathlib import Path
from segsweep.networks.heads.none import NoPyramid
class Fails(NoPyramid):
    def forward(self, features):
        if self.training and Path("broken").exists():
            raise RuntimeError("a fault to order")
        return super().forward(features)
"""


def prepare(folder: Path) -> None:
    """A chain, and a head that fails as long as the file `broken` is there."""
    for group, name, text in (
        ("stages", "chain", "first: {trainer: {max_steps: 1}}\nsecond: {trainer: {max_steps: 1}}\n"),
        ("head", "fails", "_target_: fails.Fails\nwidth: 8\n"),
    ):
        (folder / "conf" / group).mkdir(parents=True)
        (folder / "conf" / group / f"{name}.yaml").write_text(text)
    (folder / "fails.py").write_text(FAILS)
    (folder / "broken").touch()


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "launcher", ["segsweep", *(pytest.param(name, marks=SLOW) for name in LAUNCHERS if name != "segsweep")]
)
def test_the_same_sweep(launcher, tmp_path):
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    prepare(tmp_path)
    own = (f"hydra/launcher={launcher}", *LAUNCHERS[launcher])
    arguments = ("train", "-m", *COMMON, "head=none", "head.width=8", "stages.second.head=none,fails", *own)
    result = segsweep(*arguments, cwd=tmp_path, status=1)
    runs = {(run.plan.stage, run.plan.choices["head"]): run for run in all_runs(tmp_path / "runs")}
    assert {key: run.status().state for key, run in runs.items()} == {
        ("first", "none"): "done", ("second", "none"): "done", ("second", "fails"): "failed",
    }  # fmt: skip
    failed = runs["second", "fails"]
    assert "1 of 3 runs failed" in result.stdout
    assert failed.id in result.stdout
    assert "RuntimeError: a fault to order" in result.stdout
    assert failed.status().failure.kind == "unknown"
    assert journal(tmp_path) == {run.id: FAILED if run is failed else DONE for run in runs.values()}

    before = {run.id: beginnings(run) for run in runs.values()}
    assert before == dict.fromkeys(before, 1), "the stage that they share is trained once"
    (tmp_path / "broken").unlink()
    segsweep(*arguments, cwd=tmp_path)
    assert {run.id: beginnings(run) for run in runs.values()} == {**before, failed.id: 2}
    assert journal(tmp_path) == {run.id: DONE for run in runs.values()}
    numbers = [row["number"] for row in table("runs", "sweep=mine", cwd=tmp_path)]
    assert numbers == [1, 2, 3]


def journal(folder: Path) -> dict[str, str]:
    """What the sweep's journal tells last of each run."""
    return {run: event.state for run, event in Journal(folder / "runs", "mine").states().items()}


def beginnings(run: RunFolder) -> int:
    """Times that the run was executed."""
    return run.log.read_text().count("starting from")


@pytest.mark.slow
def test_another_launcher_gets_batches_and_does_not_train_for_a_test(tmp_path):
    """Also with its own sweeper's batches, which are one sweep."""
    common = (*TINY, "trainer.max_steps=1", "hydra/launcher=basic")
    arguments = (*common, "seed=0,1", "test=[]", "hydra.sweeper.max_batch_size=1")
    result = segsweep("test", "-m", *arguments, cwd=tmp_path, status=2)
    assert "not trained yet" in result.stderr
    assert not list(tmp_path.glob("runs/*/plan.json"))
    segsweep("train", "-m", *arguments, cwd=tmp_path)
    (record,) = tmp_path.glob("runs/sweeps/*.json")
    assert [m["number"] for m in json.loads(record.read_text())["members"]] == [1, 2]
    (first, *_) = all_runs(tmp_path / "runs")
    (first.checkpoints / "last.ckpt").unlink()
    first.update_status(state="interrupted")
    result = segsweep("test", "-m", *common, "seed=0", "test=[single]", cwd=tmp_path, status=2)
    assert "not trained yet" in result.stderr
    assert first.status().state == "interrupted"


@pytest.mark.slow
def test_optuna_looks_for_the_best_with_our_launchers(tmp_path):
    """Three trials in two batches are one sweep, and each tells the last val mIoU of its run."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    prepare(tmp_path)
    options = ("direction=maximize", "n_trials=3", "n_jobs=2", "sampler.seed=1")
    arguments = ("train", "-m", *COMMON, "stages=single", "trainer.max_steps=1", "head=none", "head.width=8")
    arguments += ("optimizer.lr=interval(0.001,0.1)", "hydra/sweeper=optuna")
    arguments += tuple(f"hydra.sweeper.{option}" for option in options)
    segsweep(*arguments, cwd=tmp_path)
    runs = all_runs(tmp_path / "runs")
    mious = [run.status().val_miou for run in runs]
    found = yaml.safe_load((tmp_path / "runs" / "sweeps" / "optimization_results.yaml").read_text())
    assert (found["best_value"], len(runs)) == (max(mious), 3)
    best = [run for run in runs if run.status().val_miou == max(mious)]
    assert found["best_params"]["optimizer.lr"] in [run.plan.identity["optimizer.lr"] for run in best]
    assert journal(tmp_path) == dict.fromkeys((run.id for run in runs), DONE)
    assert segsweep(*arguments, cwd=tmp_path).stderr.count("done already") == 3, "the same trials again"

    (tmp_path / "broken").touch()
    failing = [argument.replace("head=none", "head=fails") for argument in arguments]
    result = segsweep(*failing, "sweep=other", cwd=tmp_path, status=2)
    assert result.stderr.splitlines()[-1].endswith("RuntimeError: a fault to order")
    assert "Traceback" not in result.stderr


def test_a_foreign_sweeper_needs_a_launcher_that_plans(tmp_path):
    arguments = ("hydra/sweeper=basic", "hydra/launcher=basic", "seed=0,1")
    result = segsweep("train", "-m", *TINY, *arguments, cwd=tmp_path, status=2)
    assert "hydra/sweeper=basic needs a launcher that plans" in result.stderr
    assert not list(tmp_path.glob("runs/*/plan.json"))
