import numpy as np
import pytest

from segsweep.data.datamodule import StreamBatchSampler, tell_apart
from segsweep.data.sampling import Shuffle, key


def stream(n: int, length: int, seed: int = 3) -> list[tuple[int, int]]:
    """The first positions of the run, one by one: one permutation an epoch."""
    positions: list[tuple[int, int]] = []
    for epoch in range(length // n + 1):
        order = np.random.default_rng(key(seed, "shuffle", epoch)).permutation(n)
        positions += [(epoch, int(i)) for i in order]
    return positions[:length]


def flat(batches):
    return [position for batch in batches for position in batch]


def test_key_is_fixed_and_takes_numpy_integers_as_python_ones():
    assert key(7, "shuffle", 0) == 936204147379078779, "blake2b, 8 bytes, of the text (7, 'shuffle', 0)"
    assert key(np.int64(7), "shuffle", np.int32(0)) == key(7, "shuffle", 0)
    assert key(1, 23) != key(12, 3)
    with pytest.raises(TypeError):
        key(0.5)


@pytest.mark.parametrize(("n", "batch"), [(37, 4), (8, 8), (3, 8), (1, 2)])
def test_every_sample_comes_once_an_epoch(n, batch):
    total = 6 * n
    positions = flat(StreamBatchSampler(Shuffle(n, 3), batch, total))
    assert len(positions) == batch * total
    assert positions == stream(n, batch * total)
    for epoch in range(batch * total // n):
        assert sorted(i for e, i in positions if e == epoch) == list(range(n))


def test_epochs_and_seeds_differ_in_order():
    first, second = stream(50, 50), stream(50, 100)[50:]
    assert [i for _, i in first] != [i for _, i in second]
    assert stream(50, 50, seed=4) != first


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 4), (4, 3), (3, 4)])
def test_steps_hold_the_same_samples_for_any_devices_and_accumulation(world, accumulate):
    n, batch, steps = 37, 24, 10
    micro = batch // (world * accumulate)
    ranks = [
        list(StreamBatchSampler(Shuffle(n, 3), micro, steps * accumulate, rank=r, world=world))
        for r in range(world)
    ]
    alone = list(StreamBatchSampler(Shuffle(n, 3), batch, steps))
    for step in range(steps):
        mine = [
            position
            for m in range(step * accumulate, (step + 1) * accumulate)
            for rank in range(world)
            for position in ranks[rank][m]
        ]
        assert mine == alone[step]


@pytest.mark.parametrize("start", [0, 1, 9, 29, 30])
def test_a_resumed_run_gets_the_tail(start):
    whole = list(StreamBatchSampler(Shuffle(37, 3), 4, 30, rank=1, world=2))
    resumed = StreamBatchSampler(Shuffle(37, 3), 4, 30, start=start, rank=1, world=2)
    assert list(resumed) == whole[start:]
    assert len(resumed) == 30, "Lightning counts the batches before the resume itself"


def test_a_sample_drawn_again_in_an_epoch_is_told_apart():
    order = np.array([4, 0, 4, 1, 0, 4])
    assert tell_apart(order, samples=5).tolist() == [4, 0, 9, 1, 5, 14], "5 more each time it comes again"
    np.testing.assert_array_equal(tell_apart(np.arange(7), samples=7), np.arange(7))


def test_the_order_of_a_plain_run_is_frozen():
    """Figures of older runs depend on it. The numbers were written down before the order could be chosen."""
    batches = StreamBatchSampler(Shuffle(7, seed=5), batch=3, total=3)
    assert list(batches) == [[(0, 6), (0, 4), (0, 3)], [(0, 0), (0, 2), (0, 1)], [(0, 5), (1, 1), (1, 0)]]
