"""Inference time of several networks, called in turn so that drift of the machine affects all alike.

Timed is the whole network, from an image of bytes on the device to logits at the image's size: normalisation,
encoder, head and upsampling, but not loading, argmax or anything after it.
"""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segsweep.builders import build_segmenter
from segsweep.config.schema import RunConfig
from segsweep.errors import OptionError, UserError

PRECISIONS = {"32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
WARM_UP = 10  # calls before timing; fewer if they take a quarter of `seconds`
LEAST_ROUNDS = 5

Call = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """How networks are timed: `seconds` for each, with weights and activations of `dtype`."""

    device: torch.device
    dtype: torch.dtype
    batch: int = 1
    channels_last: bool = False
    compile: bool = False
    seconds: float = 2.0

    @property
    def machine(self) -> str:
        """The device and library versions that a timing depends on."""
        if self.device.type == "cuda":
            cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
            name = f"{torch.cuda.get_device_name(self.device)}, cuDNN {cudnn}"
        else:
            name = f"{_processor()}, threads: {torch.get_num_threads()}"
        return f"{name}, torch {torch.__version__}"

    @property
    def text(self) -> str:
        """The setting in one line."""
        layout = "channels last" if self.channels_last else "channels first"
        return f"{layout}, {'compiled' if self.compile else 'not compiled'}; {self.machine}"

    def call(self, network: nn.Module, size: Sequence[int]) -> Call:
        """Return a function that runs inference on random images of `size` (height, width)."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        image = torch.randint(0, 256, (self.batch, 3, *size), dtype=torch.uint8, device=self.device)
        image = image.to(memory_format=layout)
        network = network.eval().to(device=self.device, dtype=self.dtype, memory_format=layout)  # type: ignore[call-overload]
        if self.compile:
            network.compile(dynamic=False)  # networks of other sizes must not make it dynamic
        return lambda: network(image)


def _processor() -> str:
    """Return the CPU's name where the system tells it, as Linux does of most."""
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return f"CPU {found[1].strip()}" if found else "CPU"
    return "CPU"


def device(name: str, option: str = "device") -> torch.device:
    """Return the device of this name, which an option gave; `auto` is a GPU if there is one.

    Raises:
        OptionError: the device is unknown or not present.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise OptionError(option, name, "auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        problem = f"torch finds {torch.cuda.device_count()} CUDA devices here"
        raise OptionError(option, name, problem=problem, remedy=f"use {option}=cpu")
    return torch.device(name)


def precision(name: str) -> torch.dtype:
    """Return the dtype of a precision.

    Raises:
        OptionError: it is unknown.
    """
    if name not in PRECISIONS:
        raise OptionError("precision", name, "32, 16 or bf16")
    return PRECISIONS[name]


def of_images(
    networks: Sequence[tuple[RunConfig, tuple[int, int]]], name: str = "auto"
) -> tuple[list[float], str]:
    """Return the median milliseconds of inference on an image, and how and on which machine it was timed.

    Weights do not matter for speed: the networks have random ones, so that no checkpoint is needed.

    Args:
        networks: configurations, which are trusted, and the (height, width) of an image.
        name: of the device.

    Raises:
        UserError: a network cannot be built, or the device has too little memory for all of them.
    """
    setting = Setting(device(name), torch.float32)
    built = [
        (build_segmenter(config, load_weights=False, auxiliary=False), size) for config, size in networks
    ]
    milliseconds = [row["latency_ms"] for row in summary(measure(built, setting), 0, setting)]
    return milliseconds, f"batch 1, float32, {setting.text}"


def measure(networks: Sequence[tuple[nn.Module, Sequence[int]]], setting: Setting) -> np.ndarray:
    """Return the seconds of each call [rounds, networks]: a round calls each network once, in order.

    Every call is waited for. cuDNN chooses its algorithms by benchmarking.

    Raises:
        UserError: torch cannot compile a network here, or the device has too little memory.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with torch.inference_mode():
            return _measure([setting.call(network, size) for network, size in networks], setting)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"device={setting.device}: not enough memory for {len(networks)} networks at once; profile "
            "fewer, or a smaller input or batch"
        ) from error
    finally:
        torch.backends.cudnn.benchmark = before


def summary(seconds: np.ndarray, reference: int, setting: Setting) -> list[dict[str, Any]]:
    """Return the columns of each network, given `seconds` [rounds, networks] of `measure`.

    Latencies are in ms per batch, the spread as interquartile range. `ratio` is the median over rounds of a
    network's time divided by the reference's.
    """
    first, median, third, late = 1e3 * np.percentile(seconds, (25, 50, 75, 95), axis=0)
    ratio = np.median(seconds / seconds[:, [reference]], axis=0)
    return [
        {
            "latency_ms": float(median[i]),
            "iqr_ms": float(third[i] - first[i]),
            "p95_ms": float(late[i]),
            "images_per_second": float(1e3 * setting.batch / median[i]),
            "ratio": float(ratio[i]),
            "rounds": len(seconds),
            "channels_last": setting.channels_last,
            "compile": setting.compile,
            "machine": setting.machine,
        }
        for i in range(seconds.shape[1])
    ]


def _measure(calls: Sequence[Call], setting: Setting) -> np.ndarray:
    if setting.compile:
        _compile(calls)
    for call in calls:
        end = time.perf_counter() + setting.seconds / 4
        for done in range(WARM_UP):
            _seconds(call, setting.device)
            if done and time.perf_counter() > end:
                break
    rounds: list[list[float]] = []
    end = time.perf_counter() + setting.seconds * len(calls)
    while len(rounds) < LEAST_ROUNDS or time.perf_counter() < end:
        rounds.append([_seconds(call, setting.device) for call in calls])
    return np.array(rounds)


def _compile(calls: Sequence[Call]) -> None:
    """Make the first calls, in which torch compiles the same code once for each network."""
    import torch._dynamo as dynamo

    dynamo.reset()
    limits: dict[str, Any] = {"recompile_limit": 8 + len(calls), "fail_on_recompile_limit_hit": True}
    for call in calls:
        try:
            with dynamo.config.patch(limits):
                call()
        except dynamo.exc.TorchDynamoException as error:
            reason = str(error.__cause__ or error).strip().split("\n")[0]
            raise UserError(
                f"compile=true: torch could not compile the network ({reason}); it needs a C++ compiler, and "
                "Triton for CUDA; or use compile=false"
            ) from error


def _seconds(call: Call, device: torch.device) -> float:
    """Return the seconds of a call, synchronising before and after because CUDA kernels are asynchronous."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
