"""trainer.deterministic: what it sets while a run trains on a GPU, what it tells, and what it leaves behind.

The CPU stands for the GPU here, where torch has operations without deterministic algorithms too.
"""

import os
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.backends import cudnn

from segsweep.execution import train
from segsweep.networks import separable_maps
from segsweep.training import compiling
from segsweep.training.losses import CrossEntropy
from tests.support.inside import planned, run

SEEN: list[dict[str, object]] = []


def choice() -> dict[str, object]:
    return {
        "mode": torch.get_deterministic_debug_mode(),
        "deterministic": cudnn.deterministic,
        "benchmark": cudnn.benchmark,
        "filled": torch.utils.deterministic.fill_uninitialized_memory,
    }


def unpool(x: Tensor) -> Tensor:
    return torch.nn.functional.max_unpool2d(x.view(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.long), 2)


class Unpooled(torch.autograd.Function):
    """The same number; its gradient goes through an operation without a deterministic algorithm."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return unpool(gradient).sum()


class UnpooledLoss(CrossEntropy):
    """Cross-entropy that notes which algorithms are chosen."""

    def __init__(self, class_weights: None = None, unpools: bool = True) -> None:
        super().__init__(class_weights)
        self.unpools = unpools

    def forward(self, logits: Tensor, labels: Tensor, *rest: Mapping[str, Tensor]) -> Tensor:
        SEEN.append({"training": self.training, **choice()})
        loss = super().forward(logits, labels, *rest)
        return Unpooled.apply(loss) if self.unpools else loss


SHORT = ("trainer.max_steps=2", "trainer.val_every=1")
LOSS = f"{__name__}.UnpooledLoss"


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    """What a run on a GPU sets, and its environment's variable as it was afterwards."""
    monkeypatch.setattr(train, "gpus", lambda accelerator: 1)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    SEEN.clear()


def test_training_is_deterministic_and_says_what_is_not(tmp_path):
    before = choice()
    folder = planned(f"loss._target_={LOSS}", f"runs_dir={tmp_path}", *SHORT)
    run(folder)
    assert choice() == before
    training = {"mode": 1, "deterministic": True, "benchmark": False, "filled": False}
    expected = {True: training, False: {**training, "mode": 0}}
    assert {seen["training"] for seen in SEEN} == {True, False}
    assert all(seen == {"training": seen["training"], **expected[seen["training"]]} for seen in SEEN)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    name = "max_unpooling2d_forward_out"
    assert folder.status().nondeterministic == (name,)
    assert folder.log.read_text().count(f"{name} has no deterministic algorithm here") == 1


def test_any_algorithm_if_so_wished(tmp_path, monkeypatch):
    """cuDNN times its own in training only; the user's own workspace is kept."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    folder = planned(f"loss._target_={LOSS}", f"runs_dir={tmp_path}", *SHORT, "trainer.deterministic=false")
    assert folder.id == planned(f"loss._target_={LOSS}", f"runs_dir={tmp_path / 'another'}", *SHORT).id
    run(folder)
    assert {(seen["training"], seen["benchmark"]) for seen in SEEN} == {(True, True), (False, False)}
    assert {seen["mode"] for seen in SEEN} == {0}
    assert folder.status().nondeterministic == ()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # Dynamo's own
def test_validations_in_between_compile_nothing_anew(tmp_path, monkeypatch):
    """They turn the deterministic mode off, for which compiled code is guarded."""
    graphs = []

    def backend(traced, _):
        graphs.append(traced)
        return traced.forward

    torch.compiler.reset()
    monkeypatch.setattr(compiling, "BACKEND", backend)
    monkeypatch.setattr(compiling, "check_compiler", lambda device: None)
    monkeypatch.setattr(separable_maps, "exact_backward_wanted", lambda x: True)
    run(planned("head=atonet", "head.aux=[1]", "trainer.compile=true", f"runs_dir={tmp_path}"))
    assert len(graphs) == 1
