"""GPUs shared out among runs, with invented GPUs: names, places, threads."""

import os

import pytest
import torch

from segsweep.config.schema import RunConfig
from segsweep.cores import THREADS
from segsweep.errors import ConfigError
from segsweep.sweeps.devices import CPU, Devices, find_gpus, one_at_a_time, visible_gpus


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that shows this process two GPUs."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)


def run(devices: int | str) -> RunConfig:
    return RunConfig.of({"trainer": {"devices": devices, "accelerator": "auto"}})


def test_the_gpu_with_fewest_runs_is_given_and_none_where_all_are_full():
    pool = Devices(["0", "1"], runs_per_gpu=2)
    given = [pool.take(1) for _ in range(5)]
    assert given == [["0"], ["1"], ["0"], ["1"], None]
    pool.give_back(["1"])
    assert pool.take(1) == ["1"]
    assert pool.take(1) is None


def test_a_run_of_several_gpus_gets_different_ones_and_a_place_on_each():
    pool = Devices(["0", "1", "2"], runs_per_gpu=1)
    assert pool.take(1) == ["0"]
    assert pool.take(2) == ["1", "2"]
    pool.give_back(["0"])
    assert pool.take(2) is None, "one GPU is not two"
    pool.give_back(["1", "2"])
    assert pool.take(3) == ["0", "1", "2"]


def test_the_cpu_is_one_device_for_as_many_runs_as_are_asked_for():
    pool = Devices([CPU], runs_per_gpu=2)
    assert [pool.take(1) for _ in range(3)] == [["cpu"], ["cpu"], None]
    pool.give_back(["cpu"])
    pool.give_back(["cpu"])
    assert pool.take(4) == ["cpu", "cpu"], "a run of four ranks has all of it to itself"
    assert pool.take(1) is None


def test_a_run_that_wants_more_gpus_than_there_are_is_an_error():
    pool = Devices(["0", "1"])
    assert pool.wanted_by(run(2)) == 2
    with pytest.raises(ConfigError, match=r"trainer.devices=3: the pool has 2 GPUs \(0, 1\)"):
        pool.wanted_by(run(3))
    assert pool.wanted_by(run("auto")) == 2, "all of the pool's, not all of the machine's"
    assert Devices([CPU]).wanted_by(run(3)) == 3


def test_all_visible_gpus_or_those_named(two_gpus):
    assert find_gpus("all") == find_gpus(None) == ["0", "1"]
    assert find_gpus("0,1") == find_gpus([1, 0, 1])[::-1] == ["0", "1"]
    assert find_gpus(1) == find_gpus("1") == ["1"]
    assert find_gpus("none") == [CPU]


@pytest.mark.parametrize(
    ("given", "names"),
    [("2,3", ["2", "3"]), ("GPU-aa, GPU-bb", ["GPU-aa", "GPU-bb"]), ("1,0,5", ["1", "0"])],
)
def test_names_are_those_of_cuda_visible_devices(two_gpus, monkeypatch, given, names):
    """What a run's variable is made of has to mean the same GPU in its process as here."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == find_gpus("all") == names
    pool = Devices(names)
    assert pool.environment(pool.take(1))["CUDA_VISIBLE_DEVICES"] == names[0]
    assert pool.environment(pool.take(1))["CUDA_VISIBLE_DEVICES"] == names[1]
    assert Devices(names).environment(names)["CUDA_VISIBLE_DEVICES"] == ",".join(names)


def test_an_empty_variable_hides_all(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    assert find_gpus("all") == [CPU]


def test_a_run_on_the_cpu_sees_no_gpu():
    assert Devices(find_gpus("none")).environment([CPU])["CUDA_VISIBLE_DEVICES"] == ""


def test_a_gpu_that_is_not_there_is_named_with_those_that_are(two_gpus, monkeypatch):
    with pytest.raises(ConfigError, match=r"^hydra.launcher.gpus=7: no GPU 7; known: 0, 1$"):
        find_gpus(7)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    with pytest.raises(ConfigError, match=r"no GPU 0; known: 2, 3"):
        find_gpus([0, 2])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="this machine has no visible GPU"):
        find_gpus("0")


def test_looking_for_gpus_does_not_start_cuda(two_gpus):
    visible_gpus()
    assert not torch.cuda.is_initialized()


def test_cores_are_shared_out_among_the_runs_at_a_time(eight_cores):
    four = Devices(["0", "1"], runs_per_gpu=2)
    assert {four.environment(["0"])[name] for name in THREADS} == {"2"}
    many = Devices([CPU], runs_per_gpu=20)
    assert many.environment([CPU])["OMP_NUM_THREADS"] == "1"


def test_what_the_environment_says_of_threads_stays_unless_the_pool_is_told(eight_cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Devices(["0"]).environment(["0"]) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert Devices(["0"], cpus_per_run=5).environment(["0"])["OMP_NUM_THREADS"] == "5"


def test_one_run_after_the_other_is_kept_to_nothing(eight_cores):
    whole = one_at_a_time()
    assert whole.environment(whole.take(1)) == {}
    assert whole.take(1) is None
    assert whole.wanted_by(run(8)) == 1
