"""What a run trains in is decided where it is planned, and is part of what the run is."""

import pytest
import torch
import yaml

from segsweep.planning import precision
from segsweep.planning.compose import compose
from segsweep.profiling.forecast import cost
from segsweep.runs.identity import run_id
from tests.support.composing import member


@pytest.fixture(params=[False, True], ids=["without", "with"])
def bf16(request, monkeypatch) -> bool:
    """Whether this machine has a GPU with bfloat16."""
    monkeypatch.setattr(precision, "has_bf16", lambda: request.param)
    return request.param


def test_auto_is_what_the_machine_has(bf16):
    planned, named = member(), member(f"trainer.precision={'bf16-mixed' if bf16 else '32-true'}")
    assert planned.config.trainer.precision == named.config.trainer.precision
    assert yaml.safe_load(planned.yaml())["trainer"]["precision"] == named.config.trainer.precision
    assert planned.identity["trainer.precision"] == named.identity["trainer.precision"]
    assert planned.id == named.id == run_id(planned.config)
    assert cost(planned.config) == cost(named.config)


def test_every_member_of_a_sweep_and_every_stage_has_it(bf16):
    runs = compose("plan", ["-m", "seed=0,1", "trainer.precision=auto,64-true"])
    wanted = "bf16-mixed" if bf16 else "32-true"
    assert [run.config.trainer.precision for run in runs] == [wanted, "64-true"] * 2
    (chain,) = compose("plan", ["-m", "stages=ksac_voc"])
    assert {stage.config.trainer.precision for stage in chain.lineage()} == {wanted}


def test_a_run_on_the_cpu_has_all_bits(bf16):
    assert member("trainer.accelerator=cpu").config.trainer.precision == "32-true"


def test_asking_for_it_is_cheap_without_a_driver(monkeypatch):
    precision.has_bf16.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    monkeypatch.setattr(precision, "DRIVERS", ("no such device",))
    assert not precision.has_bf16()
    precision.has_bf16.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_found():
    precision.has_bf16.cache_clear()
    assert precision.has_bf16() == (torch.cuda.get_device_capability()[0] >= 8)
