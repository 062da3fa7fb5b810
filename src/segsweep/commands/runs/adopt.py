"""`segsweep runs adopt`: turn weights that were trained elsewhere into a finished run.

The configuration names their network and the dataset to test them on. The file's hash is part of the run's
id, so training the same configuration makes another run.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.errors import ConfigError
from segsweep.files import digest
from segsweep.networks.encoder import read_weights as read_tensors
from segsweep.networks.segmenter import inference_parameters, is_auxiliary
from segsweep.planning.compose import compose
from segsweep.planning.plan import Member
from segsweep.runs import layout
from segsweep.runs.contents import Plan, State
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import file_hash, identity, run_id
from segsweep.runs.layout import LAST
from segsweep.runs.versions import IDENTITY_VERSION, with_echoes
from segsweep.training.checkpoint_files import SEGMENTER, AtomicCheckpointIO

HELP = """usage: segsweep runs adopt FILE [axis=choice ...] [key=value ...]

Turn weights that were trained elsewhere (a state dict, a Lightning checkpoint or safetensors) into a run that
is done. Name its network and dataset as for segsweep train; then segsweep test ID tests it.

example
  segsweep runs adopt theirs.pth backbone=resnet101 head=aspp dataset=camvid data_dir=DIR
"""
log = logging.getLogger("segsweep")

SHOWN = 3
"""The most tensors of each kind that an error names."""


def main(arguments: Sequence[str]) -> int:
    """Write a finished run with the weights of a file; return the exit status.

    Raises:
        UserError: if the file cannot be read, or holds another network than the overrides name.
    """
    words = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if argument not in words]
    if len(words) != 1:
        raise ConfigError("runs adopt: expected one file of weights, then the options of segsweep train")
    file = Path(words[0])
    member = _member(overrides)
    config = member.config.changed(adopted=f"sha256:{file_hash(str(file))}", force=False)
    folder = RunFolder(Path(config.runs_dir) / run_id(config))
    if layout.is_run(folder.path):
        log.info(f"{file} is run {folder.id} already")
        return 0
    weights, step = read_weights(file)
    check_fit(file, weights, config)
    with folder.hold():
        _write(folder, member, config, file, weights, step)
    log.info(f"{file} is run {folder.id} now, in {folder.path}: segsweep test {folder.id} tests it")
    return 0


def _member(overrides: Sequence[str]) -> Member:
    members = compose("train", overrides)
    if len(members) != 1 or members[0].parent is not None or members[0].config.stages:
        raise ConfigError(
            "runs adopt: the options name more than one run (a sweep, or a chain of stages); name one "
            "network and its dataset"
        )
    return members[0]


def read_weights(file: Path) -> tuple[dict[str, Tensor], int]:
    """Return the tensors of a checkpoint or state dict, and the steps of training (0 if not recorded).

    Raises:
        ConfigError: if the file holds something else.
    """
    content = read_tensors(file, str(file))
    state = content.get("state_dict", content)
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    step = content.get("global_step", 0)
    return _bare(tensors), step if type(step) is int else 0


def _bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors as the network does: without a prefix such as `segmenter.`, `model.` or `module.`."""
    ends = [
        key.removesuffix("encoder." + key.rpartition("encoder.")[2]) for key in tensors if "encoder." in key
    ]
    prefix = min(ends, key=len, default="")
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def check_fit(file: Path, weights: Mapping[str, Tensor], config: RunConfig) -> None:
    """Compare every name and shape with the network's, except for auxiliary branches.

    Raises:
        ConfigError: if they differ; the first of each kind are named.
    """
    with torch.device("meta"):
        wanted = builders.build_segmenter(config, load_weights=False, auxiliary=False).state_dict()
    given = {key: value for key, value in weights.items() if not is_auxiliary(key)}
    other = [
        f"{key} {list(given[key].shape)} for {list(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    kinds = {
        "missing": [key for key in wanted if key not in given],
        "unknown": [key for key in given if key not in wanted],
        "of another shape": other,
    }
    found = [
        f"{len(keys)} {kind} ({', '.join(keys[:SHOWN])}{', …' if len(keys) > SHOWN else ''})"
        for kind, keys in kinds.items()
        if keys
    ]
    if found:
        raise ConfigError(
            f"{file} does not fit this network: of {len(wanted)} tensors {'; '.join(found)}. Name the "
            "backbone, head and num_classes that it was trained with"
        )


def _write(
    folder: RunFolder, member: Member, config: RunConfig, file: Path, weights: Mapping[str, Tensor], step: int
) -> None:
    """Write the folder; the plan, which makes it a run, comes last."""
    state = {SEGMENTER + key: value for key, value in weights.items()}
    checkpoint = {"state_dict": state, "global_step": step}
    AtomicCheckpointIO().save_checkpoint(checkpoint, folder.checkpoints / LAST)
    stat = file.stat()
    origin = {
        "path": str(file.resolve()),
        "sha256": digest(file),
        "bytes": stat.st_size,
        "modified": time.strftime("%FT%T", time.localtime(stat.st_mtime)),
        "adopted": time.strftime("%FT%T"),
    }
    with torch.device("meta"):
        parameters = inference_parameters(builders.build_segmenter(config, load_weights=False))
    words = f"adopted from {file}, sha256 {origin['sha256']}"
    folder.update_status(state=State.DONE, step=step, params=parameters, origin=words)
    plan = {
        "id": folder.id,
        "identity_version": IDENTITY_VERSION,
        "identity": with_echoes(identity(config)),
        "choices": member.choices,
        "overrides": list(member.overrides),
        "adopted": origin,
    }
    folder.write_plan(Plan.of(plan), OmegaConf.to_yaml(config.content))
