"""The weights that a run starts from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError, UserError
from segsweep.networks import Segmenter
from segsweep.networks.encoder import read_weights
from segsweep.networks.segmenter import is_auxiliary
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import init_file, is_run
from segsweep.runs.layout import LAST
from segsweep.runs.versions import current_names
from segsweep.training.checkpoint_files import newest, read_checkpoint, segmenter_weights

log = logging.getLogger("segsweep")


def start(folder: RunFolder, config: RunConfig, segmenter: Segmenter) -> tuple[Path | None, str]:
    """Give a fresh network the weights that the run begins with.

    The first of these that exists:

    1. the run's own newest checkpoint, which Lightning loads with the training state;
    2. its parent's last weights, if it is a later stage of a chain;
    3. `init`, a file or another run;
    4. the weights that the encoder was built with: ImageNet's, or random ones.

    Returns:
        The checkpoint to resume from, if any, and a description of the source.

    Raises:
        UserError: the weights do not exist, or are of another network.
    """
    if (own := newest(folder.checkpoints)) is not None:
        return own, f"own checkpoint {own.name}"
    if (parent := folder.plan.parent) is not None:
        run = RunFolder(folder.path.parent / parent)
        if (state := run.status().state) is not State.DONE:
            raise UserError(f"its parent {run.id} is {state}, not done; train that run first")
        last = run.checkpoints / LAST
        return None, f"parent {parent}{_load(segmenter, last, _checkpoint(last))}"
    if config.init is not None:
        return None, f"init {config.init}{_load(segmenter, *_init(config))}"
    encoder = segmenter.encoder
    pretrained = encoder is not None and encoder.has_pretrained_weights
    return None, "ImageNet weights" if pretrained else "random weights"


def check_init(config: RunConfig, segmenter: Segmenter) -> None:
    """Raise what `start` would raise because of `init`; the network may be on the meta device."""
    if config.init is not None:
        _fitting(segmenter, *_init(config))


def _init(config: RunConfig) -> tuple[Path, dict[str, Any]]:
    """Return the file that `init` names and its content: a run's checkpoint, or any weights."""
    file = init_file(config)
    return file, _checkpoint(file) if is_run(config) else read_weights(file, "init")


def _checkpoint(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file}: these weights to start from are not there; train that run first")
    return read_checkpoint(file)


def _load(segmenter: Segmenter, file: Path, content: Mapping[str, Any]) -> str:
    """Load the tensors that fit; name the layers that do not, as they depend on the number of classes."""
    kept, other = _fitting(segmenter, file, content)
    segmenter.load_state_dict(kept, strict=False)
    layers = sorted({key.rpartition(".")[0] for key in other})
    return f" (new for its classes: {', '.join(layers)})" if other else ""


def _fitting(
    segmenter: Segmenter, file: Path, content: Mapping[str, Any]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of a file that fit the network, and the names of those that have another shape.

    Raises:
        ConfigError: the weights are of another network.
    """
    wanted = segmenter.state_dict()
    state = current_names(segmenter_weights(content), wanted)
    ours = {key: value for key, value in state.items() if not is_auxiliary(key)}
    missing = sorted(key for key in wanted if key not in ours and not is_auxiliary(key))
    foreign = sorted(ours.keys() - wanted.keys())
    other = sorted(key for key in ours.keys() & wanted.keys() if ours[key].shape != wanted[key].shape)
    wrong = missing + foreign + [key for key in other if not segmenter.is_of_classes(key)]
    if wrong:
        raise ConfigError(
            f"{file}: weights of another network: {len(missing)} tensors missing, {len(foreign)} unknown "
            f"(first: {wrong[0]}); start from a run with the same network, or give weights of an "
            "encoder alone as backbone.weights=FILE"
        )
    # Auxiliary branches may differ from stage to stage: they are kept if they fit.
    return {k: v for k, v in state.items() if k in wanted and v.shape == wanted[k].shape}, other
