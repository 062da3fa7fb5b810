"""What other people's Python calls and what needs the composer: `segsweep.build`."""

from typing import Any

from segsweep import builders
from segsweep.config.values import check_values
from segsweep.errors import ConfigError, as_typed
from segsweep.networks import Segmenter
from segsweep.planning.compose import Request


def build(*overrides: str, **options: Any) -> Segmenter:
    """Return the network that `segsweep train` with these overrides would train, before any training.

    It is a plain `nn.Module`: image [B, 3, H, W] with values 0..255 → logits [B, K, H, W]. Only what says
    what the network is counts, such as `backbone=`, `head=` and their options.

    Args:
        overrides: as on the command line, `"head=ksac"`, `"head.rates=[1,6,12]"`.
        options: the same for options whose names are Python's too, `num_classes=5`.

    Raises:
        ConfigError: an override is wrong, or there are several values or stages; the message names what there
            is.
    """
    words = [*overrides, *(f"{key}={as_typed(value)}" for key, value in options.items())]
    for word in words:
        if not isinstance(word, str) or "=" not in word:
            raise ConfigError(f"{word}: expected key=value, such as head=ksac")
    request = Request("train", words)
    if request.is_sweep:
        raise ConfigError("segsweep.build makes one network: give each option one value, and no stages")
    member = request.composer.member(request.overrides)
    check_values(member.config)
    return builders.build_segmenter(member.config)
