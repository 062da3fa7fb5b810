"""A user's own Lightning callbacks: checked when a run is planned, and where they stand among ours.

Lightning calls callbacks in order, and moves those that write checkpoints to the end. The user's come behind
the recorder, and before whatever may write a checkpoint, which thus has their state after the same step as
the weights: a run that is killed goes on with both.
"""

import io
from collections.abc import Mapping

import torch
from pytorch_lightning.callbacks import Callback

from segsweep.errors import ConfigError, OptionError

Callbacks = list[Callback]
OURS = dict.fromkeys(("Recorder", "EMAWeightAveraging"), "one of segsweep's own")
"""Keys of states that our callbacks have in checkpoints."""


def checked(named: Mapping[str, object]) -> Callbacks:
    """Return callbacks in the order of their names.

    Raises:
        ConfigError: an object is no callback, two would share one state in checkpoints, or a state could not
            be read back from one.
    """
    found, callbacks = dict(OURS), Callbacks()
    for name, callback in sorted(named.items()):
        option = f"callbacks.{name}"
        if not isinstance(callback, Callback):
            what = f"{type(callback).__module__}.{type(callback).__qualname__}"
            raise OptionError(f"{option}._target_", what, "a subclass of pytorch_lightning.Callback")
        state = callback.state_dict()
        if state and callback.state_key in found:
            raise ConfigError(
                f"{option}: its state_key {callback.state_key!r} is that of {found[callback.state_key]}; "
                "give the class a property state_key that tells the two apart"
            )
        found[callback.state_key] = option
        _check_state(option, state)
        callbacks.append(callback)
    return callbacks


def _check_state(option: str, state: Mapping[str, object]) -> None:
    """Raise ConfigError if a state is not made of tensors and plain values, as checkpoints are loaded."""
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception as error:  # of pickle, or of the objects in it
        raise ConfigError(
            f"{option}: its state_dict() cannot be read back from a checkpoint, which holds tensors, "
            f"numbers, texts, lists and dictionaries only ({type(error).__name__})"
        ) from error
