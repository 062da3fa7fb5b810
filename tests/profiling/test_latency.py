"""How networks are timed; no time is asserted."""

import numpy as np
import pytest
import torch
from torch import nn
from torch._inductor import config as inductor

from segsweep.errors import ConfigError, UserError
from segsweep.profiling import latency
from segsweep.profiling.latency import LEAST_ROUNDS, Setting, device, measure, precision, summary
from tests.profiling.networks import small

CPU = torch.device("cpu")


class Recorded(nn.Module):
    """Notes who was called and with what."""

    def __init__(self, name, calls):
        super().__init__()
        self.name, self.calls, self.conv = name, calls, nn.Conv2d(3, 4, 3)

    def forward(self, image):
        self.calls.append((self.name, image, self.conv.weight.dtype, torch.is_inference_mode_enabled()))


def test_networks_take_turns():
    calls = []
    networks = [(Recorded(name, calls), (8, 6)) for name in "abc"]
    seconds = measure(networks, Setting(CPU, torch.bfloat16, batch=2, channels_last=True, seconds=1e-4))
    rounds = len(seconds)
    assert seconds.shape == (rounds, 3)
    assert rounds >= LEAST_ROUNDS
    assert (seconds > 0).all()
    assert [name for name, *_ in calls[-3 * rounds :]] == ["a", "b", "c"] * rounds
    assert len(calls) > 3 * rounds, "calls before the clock runs"
    for _, image, dtype, inference in calls:
        assert (image.shape, image.dtype) == ((2, 3, 8, 6), torch.uint8)
        assert image.is_contiguous(memory_format=torch.channels_last)
        assert (dtype, inference) == (torch.bfloat16, True)
    assert networks[0][0].conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_figures_of_rounds():
    """Drift doubles all times in the last rounds: the ratio does not see it."""
    seconds = np.array([[1, 3], [1, 3], [1, 3], [2, 6], [2, 6]]) / 1000
    first, second = summary(seconds, 1, Setting(CPU, torch.float32, batch=4))
    assert (first["latency_ms"], second["latency_ms"]) == pytest.approx((1, 3))
    assert (first["iqr_ms"], second["iqr_ms"]) == pytest.approx((1, 3))
    assert (first["images_per_second"], second["p95_ms"]) == pytest.approx((4000, 6))
    assert (first["ratio"], second["ratio"]) == pytest.approx((1 / 3, 1))
    assert first["rounds"] == 5


# What torch's compiler imports still uses torch's older jit.
compiles = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


@compiles
def test_each_network_is_compiled_for_its_own_size(monkeypatch):
    """Torch's own limit is 8 compilations of one code, and its second size would be any size."""
    compiled = []

    def backend(graph, inputs):
        compiled.append([tuple(value.shape) for value in inputs if value.dtype == torch.uint8])
        assert all(isinstance(value, torch.Tensor) for value in inputs), "a size that is not fixed"
        return graph

    compile_in_place = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **o: compile_in_place(self, backend=backend, **o))
    sizes = [(8, 6 + 2 * i) for i in range(10)]
    measure(
        [(small(device="cpu"), size) for size in sizes],
        Setting(CPU, torch.float32, compile=True, seconds=1e-4),
    )
    assert compiled == [[(1, 3, *size)] for size in sizes]


@compiles
def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    setting = Setting(CPU, torch.float32, compile=True)
    with (
        inductor.patch("cpp.cxx", ("no-such-compiler",)),
        pytest.raises(UserError, match="compile=true") as e,
    ):
        measure([(small(device="cpu"), (8, 14))], setting)
    assert "\n" not in str(e.value)


def test_devices_and_precisions():
    assert device("cpu") == CPU
    assert device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert [precision(name).itemsize for name in ("32", "16", "bf16")] == [4, 2, 2]
    for name in ("gpu", "cuda:x", "cpu:0:1", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device={name}"):
            device(name)
    with pytest.raises(ConfigError, match="precision=fp16: expected 32, 16 or bf16"):
        precision("fp16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["32", "16", "bf16"])
def test_a_gpu(name):
    setting = Setting(torch.device("cuda"), precision(name), channels_last=True, seconds=1e-3)
    assert measure([(small(device="cpu"), (16, 16))], setting).shape[1] == 1
    assert torch.cuda.get_device_name() in setting.text


def test_images_are_timed_one_by_one_in_single_precision(monkeypatch):
    found = []

    def measured(networks, setting):
        found.extend(networks)
        assert (setting.batch, setting.dtype, setting.device) == (1, torch.float32, CPU)
        return np.array([[0.002, 0.003]] * LEAST_ROUNDS)

    monkeypatch.setattr(latency, "measure", measured)
    monkeypatch.setattr(latency, "build_segmenter", lambda config, **how: (config, how))
    milliseconds, how = latency.of_images([(name, (40, 64)) for name in ("none", "aspp")], "cpu")
    assert milliseconds == pytest.approx([2, 3])
    random = {"load_weights": False, "auxiliary": False}
    assert found == [((name, random), (40, 64)) for name in ("none", "aspp")]
    assert how.startswith("batch 1, float32, channels first, not compiled; CPU")
