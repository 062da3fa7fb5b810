"""Load a trained network from whatever it is kept in: a run, or what `segsweep export` wrote."""

import os
from functools import cache, partial
from pathlib import Path

import torch

from segsweep.config.schema import NETWORK, RunConfig
from segsweep.errors import FileError, OptionError
from segsweep.execution import trust as trusting
from segsweep.execution.test import load_network
from segsweep.execution.weights import trained_checkpoint
from segsweep.inference.describe import RULES, describe
from segsweep.inference.example_images import example_images
from segsweep.inference.forms.known_forms import FORMS
from segsweep.inference.trained import Trained
from segsweep.networks import Segmenter
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder, find_run


def load(
    path: str | Path,
    device: str | torch.device | None = None,
    *,
    runs_dir: str | Path | None = None,
    checkpoint: str | None = None,
    trust: bool = False,
) -> Trained:
    """Load a trained network.

    Args:
        path: a run's folder, its id or the beginning of it, or an exported file or folder.
        device: where it computes; None for a GPU if there is one, else the CPU.
        runs_dir: where runs are looked up by id; None for $SEGSWEEP_RUNS, or runs/.
        checkpoint: a run's `last` or `best` weights; None for those that it tests.
        trust: build any class that the folder names, not only segsweep's and those of your conf/ and working
            folder: for what comes from somebody whose code you would run.

    Raises:
        UserError: there is no such network, the run is not trained, a file is damaged, or a class is not
            trusted; one line that says what to do.
    """
    on = _device(device)
    if (run := run_of(path, runs_dir)) is not None:
        return from_run(run, on, trust, checkpoint=checkpoint)
    place = Path(path).expanduser()
    for form in FORMS:
        if form.is_at(place):
            return form.read(place, on, trust)
    kinds = ", ".join(["a run's folder", *(f"{form.suffix or 'a folder'} ({form.name})" for form in FORMS)])
    raise FileError(place, f"holds no trained network; expected {kinds}", "see segsweep export --help")


def run_of(path: str | Path, runs_dir: str | Path | None = None) -> RunFolder | None:
    """Return the run that a folder or the beginning of an id names; None for another file or folder.

    Raises:
        UserError: there is no such file, folder or run.
    """
    place = Path(path).expanduser()
    if place.exists():
        return RunFolder(place) if layout.is_run(place) else None
    if len(place.parts) > 1 or place.suffix:
        raise FileError(place, "no such file or folder", "segsweep runs lists the runs")
    runs = Path(runs_dir or os.environ.get("SEGSWEEP_RUNS", "runs"))
    return find_run(runs, str(path))


def from_run(
    folder: RunFolder,
    device: torch.device,
    trust: bool = False,
    *,
    config: RunConfig | None = None,
    checkpoint: str | None = None,
) -> Trained:
    """Return the network of a finished run, under its own configuration or a changed one.

    Raises:
        UserError: the run is not trained, its checkpoint is not there, or it names classes that are not
            trusted.
    """
    config = config or folder.config()
    if checkpoint is not None:
        if checkpoint not in RULES:
            raise OptionError("checkpoint", checkpoint, " or ".join(RULES))
        config = config.changed(checkpoint={**config["checkpoint"], "test": checkpoint})
    if trust:
        folder.trust()
    trusting.check(folder, {part: config.get(part) for part in (*NETWORK, "dataset")})
    weights = trained_checkpoint(folder, config)

    @cache
    def network_at(output_stride: int | None) -> Segmenter:
        return load_network(config, weights, output_stride)

    described = describe(folder, config, network_at(None))
    return Trained(described, network_at, device, partial(example_images, config))


def _device(given: str | torch.device | None) -> torch.device:
    has_gpu = torch.cuda.is_available()
    try:
        found = torch.device(given or ("cuda" if has_gpu else "cpu"))
    except RuntimeError:
        found = torch.device("meta")
    if found.type not in ("cpu", "cuda"):
        raise OptionError("device", given, "cpu, cuda or cuda:N")
    if found.type == "cuda" and not (has_gpu and (found.index or 0) < torch.cuda.device_count()):
        raise OptionError("device", given, problem="there is no such GPU", remedy="leave it out, or give cpu")
    return found
