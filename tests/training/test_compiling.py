"""torch.compile for the training step: once a run, of functions, with the same numbers."""

import shutil

import pytest
import torch
from torch.fx import GraphModule

from segsweep.errors import ConfigError
from segsweep.runs.folder import RunFolder
from segsweep.training import compiling
from segsweep.training.sync_batchnorm import synchronise
from tests.support.inside import checkpoint, different, planned, rows, run, weights

# The shared product adds its taps in another order when it is traced, which no rounding survives.
OPTIONS = ("head=ksac", "head.impl=branches", "head.dropout=0.5", "head.aux=[1]")


class Counter:
    """A backend that runs what was traced as it is, and counts the graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, traced: GraphModule, _: object):
        self.graphs += 1
        return traced.forward


@pytest.fixture
def counter(monkeypatch) -> Counter:
    torch.compiler.reset()
    counter = Counter()
    monkeypatch.setattr(compiling, "BACKEND", counter)
    monkeypatch.setattr(compiling, "check_compiler", lambda device: None)
    return counter


def both(place, *options: str) -> tuple[RunFolder, RunFolder]:
    """The same run, plain and compiled."""
    plain, compiled = (
        planned(*OPTIONS, *options, f"runs_dir={place / name}", f"trainer.compile={name}")
        for name in ("false", "true")
    )
    assert plain.id == compiled.id, "how a step is computed is no part of the run"
    run(plain)
    run(compiled)
    return plain, compiled


@pytest.mark.parametrize(
    "options",
    [
        ("trainer.ema_decay=0.9",),
        ("trainer.accumulate_grad_batches=2",),
    ],
    ids=["whole", "halves"],
)
@pytest.mark.slow
def test_a_run_compiles_one_graph_and_trains_the_same_weights(tmp_path, counter, options):
    """With a validation in between, and dropout drawn from the step's seed."""
    plain, compiled = both(tmp_path, "trainer.max_steps=4", "trainer.val_every=2", *options)
    assert counter.graphs == 1
    assert different(weights(plain), weights(compiled)) == []
    assert rows(plain) == rows(compiled)
    assert checkpoint(plain)["state_dict"].keys() == checkpoint(compiled)["state_dict"].keys()


@pytest.mark.slow
def test_a_resumed_run_compiles_once_more(tmp_path, counter):
    folder = planned(*OPTIONS, f"runs_dir={tmp_path / 'runs'}", "trainer.compile=true")
    run(folder)
    whole = weights(folder)
    (folder.checkpoints / "last.ckpt").unlink()  # it goes on from previous.ckpt
    folder.update_status(state="interrupted")
    torch.compiler.reset()  # as in a new process
    run(folder)
    assert counter.graphs == 2
    assert different(weights(folder), whole) == []


def test_synchronised_batchnorm_on_cpus_is_refused_in_one_line():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    synchronise(network, on_gpu=False)
    with pytest.raises(ConfigError, match=r"^trainer\.compile=true: .*sync_batchnorm=false"):
        compiling.compile_step(network, torch.device("cpu"), at_once=False)


def test_a_missing_compiler_is_one_line_before_training(tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no g++ here\nand more")

    torch.compiler.reset()
    monkeypatch.setattr(compiling, "BACKEND", broken)
    folder = planned(*OPTIONS, f"runs_dir={tmp_path / 'runs'}", "trainer.compile=true")
    with pytest.raises(ConfigError, match=r"trainer\.compile=true: .*no g\+\+ here.*install a C\+\+"):
        run(folder)
    assert "\n" not in folder.status().error
    assert not (folder.path / "metrics.csv").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_inductor_draws_dropout_from_the_steps_seed(tmp_path):
    """So that a resumed run, compiled anew, has the same bits; and it learns as the plain one does."""
    torch.compiler.reset()
    same = "head.dropout=0"
    plain, compiled = both(tmp_path / "same", same)
    losses = [[float(row["loss"]) for row in rows(one) if row["loss"]] for one in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    first, second = (
        planned("head.dropout=0.5", f"runs_dir={tmp_path / name}", "trainer.compile=true")
        for name in ("a", "b")
    )
    run(first)
    run(second)
    assert different(weights(first), weights(second)) == []
