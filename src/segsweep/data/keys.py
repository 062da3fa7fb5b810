"""The one source of randomness: a seed that is a pure function of what it is for.

Nothing keeps a random state, so nothing has to be saved and restored: the draw for step 7 of seed 3 is
the same in a run that was cut short, with any number of workers, devices or prefetched batches.
"""

from hashlib import blake2b
from operator import index


def key(*parts: int | str) -> int:
    """A 64-bit seed made from what it is for, as `key(seed, "shuffle", epoch)`.

    Parts are integers (numpy's count as Python's) and strings; anything else raises TypeError, because
    its `repr` need not be stable. `hash()` would not do: it is salted per process for strings.
    """
    plain = tuple(part if isinstance(part, str) else int(index(part)) for part in parts)
    return int.from_bytes(blake2b(repr(plain).encode(), digest_size=8).digest(), "little")
