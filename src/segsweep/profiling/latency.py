"""Time of an inference: several networks in turn, so that drift of the machine hits all alike.

What is timed is the whole network, from an image of bytes on the device to logits at the image's size:
normalisation, encoder, head and upsampling. Loading, the largest score and everything behind it are not.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from segsweep.errors import OptionError, UserError

PRECISIONS = {"32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
WARM_UP = 10  # calls before the clock runs, fewer if they take a quarter of the time asked for
LEAST_ROUNDS = 5

Call = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """How networks are timed: `seconds` is the time for each, `dtype` that of weights and activations."""

    device: torch.device
    dtype: torch.dtype
    batch: int = 1
    channels_last: bool = False
    compile: bool = False
    seconds: float = 2.0

    @property
    def machine(self) -> str:
        """The device and the versions that a timing depends on."""
        if self.device.type == "cuda":
            cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
            name = f"{torch.cuda.get_device_name(self.device)}, cuDNN {cudnn}"
        else:
            name = f"CPU, threads: {torch.get_num_threads()}"
        return f"{name}, torch {torch.__version__}"

    @property
    def text(self) -> str:
        """All of it in a line."""
        layout = "channels last" if self.channels_last else "channels first"
        return f"{layout}, {'compiled' if self.compile else 'not compiled'}; {self.machine}"

    def call(self, network: nn.Module, size: Sequence[int]) -> Call:
        """An inference of random images of `size` (height, width), ready to be timed."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        image = torch.randint(0, 256, (self.batch, 3, *size), dtype=torch.uint8, device=self.device)
        image = image.to(memory_format=layout)
        network = network.eval().to(device=self.device, dtype=self.dtype, memory_format=layout)  # type: ignore[call-overload]
        if self.compile:
            network.compile(dynamic=False)  # another size of another network must not make it dynamic
        return lambda: network(image)


def device(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU if there is one.

    Raises:
        OptionError: there is no such device, or not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise OptionError("device", name, "auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        problem = f"torch finds {torch.cuda.device_count()} CUDA devices here"
        raise OptionError("device", name, problem=problem, remedy="use device=cpu")
    return torch.device(name)


def precision(name: str) -> torch.dtype:
    """The type of weights and activations that a precision stands for.

    Raises:
        OptionError: it is unknown.
    """
    if name not in PRECISIONS:
        raise OptionError("precision", name, "32, 16 or bf16")
    return PRECISIONS[name]


def measure(networks: Sequence[tuple[nn.Module, Sequence[int]]], setting: Setting) -> np.ndarray:
    """Seconds of each call, [rounds, networks]: in a round each network is called once, in order.

    Every call is waited for. cuDNN chooses its algorithms by trial, as it does in training.

    Raises:
        UserError: torch cannot compile a network here, or the device has too little memory.
    """
    with _trial(), torch.inference_mode():
        try:
            calls = [setting.call(network, size) for network, size in networks]
            return _measure(calls, setting)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"device={setting.device}: not enough memory for {len(networks)} networks at once; profile "
                "fewer, or a smaller input or batch"
            ) from error


def summary(seconds: np.ndarray, reference: int, setting: Setting) -> list[dict[str, Any]]:
    """Columns for each network of `measure`'s [rounds, networks].

    Latencies are in ms for a batch, the spread being the range of the middle half (IQR). `ratio` is the
    median over rounds of a network's time by the reference's in the same round.
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


@contextmanager
def _trial() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


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
    """Make the first calls, in which torch compiles; each network is a compilation of the same code."""
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
    """Seconds of a call, waited for at both ends: CUDA's kernels run behind their caller."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
