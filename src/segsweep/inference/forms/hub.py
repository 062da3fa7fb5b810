"""A folder in the form of the Hugging Face Hub: weights as safetensors, config.json and a model card.

It is read offline by `segsweep.load`; nothing in it is code, and the classes that its configuration names are
built only if `execution.trust` says so.
"""

import shutil
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from segsweep import builders
from segsweep.config.schema import RunConfig
from segsweep.errors import DamagedFileError, FileError, OptionError
from segsweep.execution import trust as trusting
from segsweep.files import cannot_write, fsync
from segsweep.inference.description import Description
from segsweep.inference.forms.form import DEFAULT, Form, Wishes
from segsweep.inference.forms.model_card import model_card
from segsweep.inference.trained import Trained
from segsweep.networks import Segmenter

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
AGAIN = "export the network again, or fetch the folder again"


class Hub(Form):
    """format=hub."""

    name = "hub"
    summary = "a folder for the Hugging Face Hub: safetensors, config.json and a model card"

    def is_at(self, path: Path) -> bool:
        """Return whether a path is a folder with both files."""
        return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()

    def check(self, wishes: Wishes) -> None:
        """Raise OptionError for a wish that changes nothing here."""
        for name, value in asdict(wishes).items():
            if value != getattr(DEFAULT, name):
                problem = "a hub folder holds the network itself: pixels, 0..255, of any type → logits"
                raise OptionError(name, value, problem=problem, remedy="leave it out")

    def read(self, path: Path, device: torch.device, trust: bool = False) -> Trained:
        """Load the network of a folder.

        Raises:
            DamagedFileError: a file is damaged, or the two do not belong together.
            ConfigError: it names classes that are not trusted.
        """
        file = path / CONFIG
        description = Description.from_json(file.read_text("utf-8", errors="replace"), file)
        if not trust:
            trusting.check_named(description.network, path, file)
        config = RunConfig.of(description.network)
        try:
            weights = load_file(path / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise DamagedFileError(path / WEIGHTS, f"damaged ({error})", AGAIN) from error

        @cache
        def network_at(output_stride: int | None) -> Segmenter:
            network = builders.build_segmenter(config, output_stride, load_weights=False, auxiliary=False)
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                problem = f"does not hold the tensors of the network that {CONFIG} describes"
                raise DamagedFileError(path / WEIGHTS, problem, AGAIN) from error
            return network

        network_at(None)  # a damaged folder is found now
        return Trained(description, network_at, device)

    def write(self, trained: Trained, target: Path, wishes: Wishes = DEFAULT) -> None:
        """Write a folder that was not there; it gets its name when all of it is on disk.

        Raises:
            UserError: something else is there, the network is an exported one, or it cannot be written.
        """
        network = self.own_network(trained)
        if target.exists():
            raise FileError(target, "is there already", "remove it, or name another folder with out=DIR")
        # On the CPU, in one order: what was loaded on a GPU gives the same bytes.
        tensors = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in network.state_dict().items()
        }
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                (draft / WEIGHTS).write_bytes(save(tensors, {"format": "pt"}))
                (draft / CONFIG).write_text(trained.description.to_json(), "utf-8")
                (draft / CARD).write_text(model_card(trained.description), "utf-8")
                for path in (*draft.iterdir(), draft):
                    fsync(path)
                draft.chmod(0o755)
                draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError as error:
            raise cannot_write(target, error, "out=DIR") from error
