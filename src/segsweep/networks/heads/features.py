"""Which of an encoder's maps a head reads: found by their reductions, never by their place."""

from collections.abc import Sequence

from segsweep.errors import ConfigError


def stages(reductions: Sequence[int]) -> list[int]:
    """The indices of the encoder's stages: its maps from 1/4 on, finest first (a stem at 1/2 is none)."""
    return [index for index, reduction in enumerate(reductions) if reduction >= 4]


def level(reductions: Sequence[int], stride: int, asker: str, otherwise: str) -> int:
    """The index of the first map at `stride`.

    Raises:
        ConfigError: the encoder has none; `asker` is the option that needs it, `otherwise` the way out.
    """
    if stride not in reductions:
        raise ConfigError(
            f"{asker} needs a feature at stride {stride}; this backbone has {list(reductions)}: {otherwise}"
        )
    return list(reductions).index(stride)
