"""A mistake that a part's constructor finds while a run executes: its one line, and the run is let go."""

import errno
import json
from typing import Any

import pytest
import torch

from segsweep import builders, cli, failures
from segsweep.errors import ConfigError, UserError, causes
from segsweep.runs.documents import write_json, yaml_text
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import identity
from segsweep.sweeps.launchers import local
from tests.support.in_process import listed
from tests.support.inside import BASE, attempts_inside, planned, run

SHORT = ("trainer.max_steps=1", "trainer.val_every=1")
CLASS_UNIFORM = {"_target_": "segsweep.data.sampling.ClassUniform", "share": 3}


def rewritten(folder: RunFolder, key: str, value: Any) -> RunFolder:
    """Have the run's configuration and plan say something that planning would have refused."""
    config = dict(folder.config())
    *groups, name = key.split(".")
    part: Any = config
    for group in groups:
        part = part[group]
    part[name] = value
    (folder.path / "config.yaml").write_text(yaml_text(config))
    write_json(folder.path / "plan.json", {**folder.plan.plain(), "identity": identity(config)})
    return RunFolder(folder.path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> RunFolder:
    return planned(*SHORT, "test=[single]", f"runs_dir={tmp_path_factory.mktemp('refused') / 'runs'}")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("backbone.weights", "{file}", "not the weights of mobilenetv3_small_100"),
        ("backbone.output_stride", 12, "backbone.output_stride=12"),
        ("head.depth", 0, "head.depth=0"),
        ("head.ratez", 1, "head.ratez: no such option; known: "),
        ("dataset.train_images", -1, "dataset.train_images=-1"),
        ("dataset", {"_target_": "segsweep.data.sets.camvid.CamVid"}, "dataset: "),
        ("augment.flip", 2, "augment.flip=2"),
        ("sampling", CLASS_UNIFORM, "sampling.share=3"),
        ("loss.class_weights", [1], "loss.class_weights"),
        ("optimizer.lr", -1, "optimizer: "),
        ("scheduler.power", -1, "scheduler.power=-1"),
        ("logger", {"_target_": "segsweep.training.trackers.WandbTracker", "mode": "x"}, "mode"),
        ("trainer.precision", "half", "trainer.precision=half"),
    ],
)
def test_the_run_fails_with_the_line_and_is_free(folder, tmp_path, key, value, words):
    file = tmp_path / "other.pt"
    torch.save({"features.0.weight": torch.zeros(3, 3)}, file)
    sound = {name: (folder.path / name).read_bytes() for name in ("config.yaml", "plan.json")}
    refused = rewritten(folder, key, str(file) if value == "{file}" else value)
    try:
        with pytest.raises(UserError) as raised:
            run(refused)
    finally:
        for name, content in sound.items():
            (folder.path / name).write_bytes(content)
    status = folder.status()
    assert words in str(raised.value)
    assert (status.state, status.error) == ("failed", str(raised.value))
    assert status.failure.kind == "user's error"
    assert folder.holder() is None


@pytest.fixture(scope="module")
def trained(folder) -> RunFolder:
    """The same run, trained and not yet tested."""
    untested = rewritten(folder, "test", {})
    run(untested)
    return untested


def test_a_test_strategy_fails_alone(trained):
    odd = {"odd": {"_target_": "segsweep.evaluation.strategies.Strategy", "scales": []}}
    with pytest.raises(ConfigError, match="scales"):
        run(trained, json.dumps({**trained.config(), "test": odd}))
    status = trained.status()
    assert (status.state, status.failure.kind) == ("done", "user's error")
    assert "scales" in status.error
    assert trained.holder() is None


def test_a_sweep_goes_on_to_its_next_member(monkeypatch, runs, capfd):
    """The first member's head is refused only once the runs are planned."""
    attempts_inside(monkeypatch)
    monkeypatch.setattr(local, "POLL", 0.0)
    late = ("head._target_=tests.support.faulty.LateHead", f"+head.planned={runs}", "+head.refuse=true,false")
    assert cli.run(["train", "-m", *BASE, *SHORT, *late, f"runs_dir={runs}"]) == 1
    states = {row["head.refuse"]: (row["state"], row["error"]) for row in listed(runs, capfd).values()}
    assert states == {True: ("failed", "head.refuse=True: refused late"), False: ("done", None)}


def test_causes_are_followed_once_even_in_a_circle():
    disk = OSError(errno.ENOSPC, "No space left on device")
    middle, outer = RuntimeError("a call"), ConfigError("a part")
    outer.__cause__, middle.__cause__ = middle, outer
    assert causes(outer) == [outer, middle]
    assert failures.classify(outer) == "user's error"
    middle.__cause__ = disk
    disk.__cause__ = outer
    assert failures.classify(outer) == "disk"


@pytest.mark.parametrize("raised", [ConfigError("head.x=1"), OSError(errno.ENOSPC, "No space left")])
def test_what_a_part_raises_has_no_circular_causes(raised):
    """As Hydra reports it, with the error itself for its cause."""
    with pytest.raises(ConfigError) as caught:
        builders.build({"head": {"_target_": f"{__name__}._raise"}}, "head", error=raised)
    chain, error = [], caught.value
    while error is not None:
        assert error not in chain
        chain.append(error)
        error = error.__cause__ or error.__context__
    assert raised in chain


def _raise(error: BaseException) -> None:
    raise error
