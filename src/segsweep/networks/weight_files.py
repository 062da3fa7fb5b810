"""Files of weights: what a torch checkpoint, a bare state dict or a safetensors file holds.

Nothing but tensors and plain values is read, so a file from elsewhere cannot run code.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from segsweep.errors import ConfigError


def read_weights(file: Path, name: str) -> dict[str, Any]:
    """Read a file on the CPU: a state dict, or a checkpoint with one under `state_dict`.

    Args:
        name: how messages call the file, such as `init=FILE`.

    Raises:
        ConfigError: it is not there, or holds something else.
    """
    if not file.is_file():
        raise ConfigError(f"{name}: no such file; give a file of weights")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # whichever the reader meets first in a file of another kind
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ConfigError(
            f"{name}: not readable as weights (expected *.safetensors, or a state dict or checkpoint that "
            f"torch.load reads with weights_only=True): {reason}"
        ) from error
