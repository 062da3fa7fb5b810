"""A user's own callbacks: part of what a run is, restored to the bit, and refused when they cannot work."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_exact import equal
from segsweep import builders, cli
from segsweep.errors import ConfigError
from segsweep.planning.compose import Request, compose
from tests.support.commands import TINY, command, environment, segsweep

MODULE = '''
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

class Shrink(Callback):
    """Weights shrink by a rate that depends on the steps seen; the state is a number and a tensor."""

    def __init__(self, rate=0.1):
        self.rate, self.seen, self.last = rate, 0, torch.zeros(1)

    def state_dict(self):
        return {"seen": self.seen, "last": self.last}

    def load_state_dict(self, state):
        self.seen, self.last = state["seen"], state["last"]

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seen += 1
        self.last = 0.5 * self.last + outputs["loss"].detach().reshape(1)
        for parameter in module.segmenter.parameters():
            parameter.data.mul_(1 - self.rate * float(self.last) / (10 + self.seen))

class Watch(Callback):
    changes_training = False

    def __init__(self, file=None):
        self.file = file

class Same(Watch): ...

class Again(Watch):
    changes_training: bool = True

class Bad(Callback):
    def state_dict(self):
        return {"a": object()}

class NoCallback: ...
'''
RUN = (
    *TINY, "trainer.max_steps=12", "trainer.val_every=6", "checkpoint.every=5", "test=[]",
    "+callbacks.shrink._target_=own_hooks.Shrink", "+callbacks.shrink.rate=0.2",
)  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    (tmp_path / "own_hooks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def identity(*overrides: str) -> dict[str, object]:
    (member,) = compose("train", overrides)
    return {key: value for key, value in member.identity.items() if key.startswith("callbacks")}


def test_they_are_part_of_the_run_unless_the_class_says_that_they_change_nothing(here):
    plain = compose("train", [])[0].id
    assert identity("+callbacks.a._target_=own_hooks.Shrink", "+callbacks.a.rate=0.5") == {
        "callbacks.a._target_": "own_hooks.Shrink", "callbacks.a.rate": 0.5,
    }  # fmt: skip
    for name in ("Watch", "Same"):
        (member,) = compose("train", [f"+callbacks.w._target_=own_hooks.{name}", "+callbacks.w.file=a"])
        assert member.id == plain
        assert member.config["callbacks"] == {"w": {"_target_": f"own_hooks.{name}", "file": "a"}}
    assert identity("+callbacks.w._target_=own_hooks.Again") == {"callbacks.w._target_": "own_hooks.Again"}
    assert identity("+callbacks.w._target_=pytorch_lightning.callbacks.LearningRateMonitor")


def test_they_are_choices_of_the_users_own_files(here):
    (here / "conf" / "callbacks").mkdir(parents=True)
    (here / "conf" / "callbacks" / "shrink.yaml").write_text("a: {_target_: own_hooks.Shrink, rate: 0.2}\n")
    (here / "conf" / "callbacks" / "watch.yaml").write_text("w: {_target_: own_hooks.Watch}\n")
    both = compose("train", ["callbacks=[watch,shrink]", "callbacks.a.rate=0.3"])[0]
    assert sorted(both.config["callbacks"]) == ["a", "w"]
    assert both.id == compose("train", ["callbacks=shrink", "callbacks.a.rate=0.3"])[0].id
    swept = Request("train", ["-m", "callbacks=none,shrink", "callbacks.a.rate=0.1,0.2"]).compose().sound()
    assert len({member.id for member in swept}) == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+callbacks.a._target_=own_hooks.NoCallback"], "callbacks.a._target_=own_hooks.NoCallback: "),
        (["+callbacks.a._target_=own_hooks.Nobody"], "callbacks.a: .*Nobody"),
        (["+callbacks.a._target_=own_hooks.Bad"], "callbacks.a: its state_dict.. cannot be read back"),
        (["+callbacks.a._target_=own_hooks.Shrink", "+callbacks.a.rat=1"], "callbacks.a.rat: no such option"),
        (["+callbacks.a.rate=1"], "callbacks.a: names no class"),
        (
            ["+callbacks.a._target_=own_hooks.Shrink", "+callbacks.b._target_=own_hooks.Shrink"],
            "callbacks.b: its state_key 'Shrink' is that of callbacks.a",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_when_planning(here, overrides, message):
    (member,) = compose("train", overrides)
    with pytest.raises(ConfigError, match=f"^{message}"):
        builders.build_callbacks(member.config)
    assert cli.run(["train", *overrides, "trainer.accelerator=cpu"]) == 2
    assert not list(here.glob("runs/*"))


def outcome(folder: Path) -> list[object]:
    (run,) = (plan.parent for plan in folder.glob("runs/*/plan.json"))
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return [
        last["state_dict"],
        last["optimizer_states"],
        last["callbacks"]["Shrink"],
        (run / "metrics.csv").read_text(),
    ]


@pytest.mark.parametrize("sent", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_with_their_state(here, sent):
    """The same bits as a run that was never killed; the class is trusted by what the command names."""
    apart = here / "apart"
    apart.mkdir()
    (apart / "own_hooks.py").write_text(MODULE)
    segsweep("train", *RUN, cwd=apart)
    process = subprocess.Popen(
        command("train", *RUN),
        cwd=here,
        env=environment(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        rows = [path.read_text().splitlines() for path in here.glob("runs/*/metrics.csv")]
        if rows and len(rows[0]) > 7:  # behind the checkpoint of step 5
            process.send_signal(sent)
            break
        time.sleep(0.002)
    assert process.wait(timeout=60) != 0
    (status,) = here.glob("runs/*/status.json")
    assert json.loads(status.read_text())["step"] < 12
    segsweep("train", *RUN, cwd=here)
    assert "own checkpoint" in next(here.glob("runs/*/log.txt")).read_text()
    there, again = outcome(apart), outcome(here)
    assert there[2]["seen"] == 12
    assert all(equal(one, other) for one, other in zip(there, again, strict=True))
