"""The counts of all tests of a study in one small file, without loss.

Kept of each test is what does not follow from the rest: true positives by object size (whose sums are tp),
false positives, both at boundaries, and the confusion matrix. The truth is the same for every test on the
same images, so it is kept once, and false negatives are the truth minus true positives. The numbers of all
tests stand side by side, in planes of bytes: the high bytes are nearly constant, and the same count of
another run is the best guess that a compressor can have.

The file is an npz compressed by lzma: `np.load(io.BytesIO(lzma.decompress(content)))`. Letters: `T` tests,
`N` images, `Z` sizes of objects, `K` classes.
"""

import io
import lzma
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
"""What a counts.npz holds, by name."""

KEPT = ("object_tp", "fp", "boundary_tp", "boundary_fp", "confusion")
FOLLOW = ("tp", "fn", "boundary_fn", "object_fn")


def pack(tests: Mapping[str, Arrays]) -> bytes:
    """Return the packed counts of tests, given by name.

    Raises:
        ValueError: the counts of a test do not add up, or were not made by object size.
    """
    of_images: dict[bytes, dict[str, Arrays]] = {}
    for name, arrays in tests.items():
        key = b"".join(array.tobytes() for array in _common(name, arrays).values())
        of_images.setdefault(key, {})[name] = arrays
    content: dict[str, Array] = {}
    for number, some in enumerate(of_images.values()):
        packed = {"tests": np.array(list(some)), **_common(*next(iter(some.items())))}
        packed |= {name: planes(np.stack([each[name] for each in some.values()], -1)) for name in KEPT}
        content |= {f"{number}.{name}": array for name, array in packed.items()}
    stream = io.BytesIO()
    np.savez(stream, **content)
    result = lzma.compress(stream.getvalue(), preset=6 | lzma.PRESET_EXTREME)
    for name, arrays in unpack(result).items():
        if different := [key for key, array in tests[name].items() if not _is_same(array, arrays.get(key))]:
            raise ValueError(f"{name}: {', '.join(different)} would not be kept as they are")
    return result


def unpack(content: bytes) -> dict[str, dict[str, Array]]:
    """Return what `pack` was given."""
    found: dict[str, dict[str, Array]] = {}
    with np.load(io.BytesIO(lzma.decompress(content)), allow_pickle=False) as file:
        numbers = dict.fromkeys(name.partition(".")[0] for name in file)
        parts = [{n.partition(".")[2]: file[n] for n in file if n.partition(".")[0] == i} for i in numbers]
    for part in parts:
        counts = {name: numbers_of(part.pop(name)) for name in KEPT}  # [..., T]
        objects, boundary = part.pop("object_true"), part.pop("boundary_true")
        for place, name in enumerate(part.pop("tests").tolist()):
            own = {key: array[..., place] for key, array in counts.items()}
            tp = own["object_tp"].sum(1)
            found[name] = {
                **part,
                **own,
                "tp": tp,
                "fn": objects.sum(1) - tp,
                "object_fn": objects - own["object_tp"],
                "boundary_fn": boundary - own["boundary_tp"],
            }
    return found


def _common(name: str, arrays: Arrays) -> dict[str, Array]:
    """Return what tests on the same images share: their names and sizes, groups, and pixels of the truth."""
    if not {*KEPT, *FOLLOW} <= set(arrays):
        raise ValueError(f"{name}: not counted by object size, as older versions tested; test again")
    return {
        **{key: array for key, array in sorted(arrays.items()) if key not in (*KEPT, *FOLLOW)},
        "object_true": arrays["object_tp"] + arrays["object_fn"],  # [N, Z, K]
        "boundary_true": arrays["boundary_tp"] + arrays["boundary_fn"],  # [N, K]
    }


def planes(counts: Array) -> NDArray[np.uint8]:
    """Return the bytes of int64 counts [...], uint8 [8, ...], the lowest first."""
    return np.moveaxis(np.ascontiguousarray(counts, "<i8")[..., None].view(np.uint8), -1, 0)


def numbers_of(found: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the counts [...] of their bytes [8, ...]."""
    return np.ascontiguousarray(np.moveaxis(found, 0, -1)).view("<i8")[..., 0].astype(np.int64)


def _is_same(one: Array, other: Array | None) -> bool:
    return other is not None and one.dtype == other.dtype and np.array_equal(one, other)
