"""Fair timing: things that are compared take turns within one run.

Whatever else the machine does then slows all of them. A ratio is taken within each turn, and its median and
quartiles over the turns are reported. Absolute times belong to the machine.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_ROUNDS = 3
SHORTEST = 0.005  # seconds of one measurement; quicker calls are repeated within it

Call = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> "Spread":
        low, median, high = np.percentile(values, (25, 50, 75))
        return cls(float(median), float(low), float(high))

    def json(self) -> dict[str, float]:
        """Rounded to five digits."""
        return {name: float(f"{value:.5g}") for name, value in vars(self).items()}


@dataclass(frozen=True)
class Times:
    """Seconds of one call of each thing in each round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Seconds of a call."""
        return float(np.median(self.seconds[name]))

    def ratio(self, name: str, reference: str) -> Spread:
        """How many times as long as the reference it takes; each round gives one ratio."""
        return Spread.of(np.divide(self.seconds[name], self.seconds[reference]))

    @property
    def rounds(self) -> int:
        """Rounds of each thing."""
        return min(map(len, self.seconds.values()))


def interleaved(
    calls: Mapping[str, Call], device: str = "cpu", seconds: float = 1.0, rounds: int | None = None
) -> Times:
    """Time each call in turn, for about `seconds` each, or so many `rounds`.

    Every thing is called twice before: the first call chooses kernels and allocates.
    """
    repeats = {name: _repeats(call, device) for name, call in calls.items()}
    found: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    done = 0
    while done < (rounds or LEAST_ROUNDS) or (rounds is None and time.perf_counter() < end):
        for name, call in calls.items():
            found[name].append(elapsed(call, device, repeats[name]))
        done += 1
    return Times(found)


def _repeats(call: Call, device: str) -> int:
    """Return how often to repeat a call within one measurement."""
    call()
    return max(1, int(SHORTEST / elapsed(call, device)))


def elapsed(call: Call, device: str = "cpu", repeats: int = 1) -> float:
    """Return the seconds of a call; those of a GPU are waited for."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    synchronise(device)
    return (time.perf_counter() - start) / repeats


def as_cuda_graph(call: Call) -> Call:
    """Return a call that replays on the GPU what this one does there."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # what allocates once, and chooses algorithms, does so before
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def synchronise(device: str) -> None:
    """Wait for what the device still computes."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def peak_mib(call: Call, device: str = "cpu") -> float:
    """Return the most MiB that tensors made during a call hold at once.

    On a GPU the allocator's own count, without what was there before; on a CPU that of torch's storages.
    """
    # Imported here: some benchmarks count what a process imports.
    import torch

    from segsweep.profiling.size import LiveStorages

    if device.startswith("cuda"):
        synchronise(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        synchronise(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with LiveStorages() as live:
        call()
    return live.peak / 2**20
