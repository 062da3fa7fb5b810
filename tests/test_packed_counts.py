"""benchmarks/packed_counts.py: what is unpacked is what was packed, and what cannot be is refused."""

import numpy as np
import pytest

from benchmarks.packed_counts import pack, unpack
from segsweep.evaluation.counts import Counts

CLASSES = ("sky", "road", "car")


@pytest.fixture
def tests(tmp_path):
    """Four tests as they lie on disk: two runs on five images, and on three others in groups."""
    found = {}
    for images, names in ((5, ("a/tests/single", "b/tests/single")), (3, ("a/tests/val", "b/tests/val"))):
        labels = np.random.default_rng(images).integers(0, 3, (images, 24, 32), np.uint8)
        for number, name in enumerate(names):
            random = np.random.default_rng(number)
            counts = Counts(3)
            for image, label in enumerate(labels):
                wrong = random.random(label.shape) < 0.2
                prediction = np.where(wrong, random.integers(0, 3, label.shape), label)
                counts.update(f"image{image}", prediction, label)
            counts.group("drive" if images == 3 else "", lambda id: id[-1])
            folder = tmp_path / name
            folder.mkdir(parents=True)
            counts.save(folder, CLASSES)
            found[name] = dict(np.load(folder / "counts.npz"))
    return found


def test_nothing_is_lost(tests):
    found = unpack(pack(tests))
    assert found.keys() == tests.keys()
    for name, arrays in tests.items():
        assert found[name].keys() == arrays.keys()
        for key, array in arrays.items():
            assert found[name][key].dtype == array.dtype
            np.testing.assert_array_equal(found[name][key], array)


def test_large_counts_are_kept(tests):
    tests["a/tests/single"]["fp"][0, 0] = 2**40 + 7
    assert unpack(pack(tests))["a/tests/single"]["fp"][0, 0] == 2**40 + 7


@pytest.mark.parametrize("key", ["tp", "fn"])
def test_counts_that_do_not_add_up_are_refused(tests, key):
    tests["b/tests/val"][key] = tests["b/tests/val"][key] + 1
    with pytest.raises(ValueError, match=f"b/tests/val: {key} would not be kept"):
        pack(tests)


def test_older_counts_are_refused(tests):
    del tests["b/tests/val"]["object_tp"]
    with pytest.raises(ValueError, match="b/tests/val: not counted by object size"):
        pack(tests)
