"""What the forms that are one file with a recorded program have in common."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import torch

from segsweep.errors import DamagedFileError, UserError
from segsweep.files import drafted
from segsweep.inference.forms import agreement
from segsweep.inference.forms.exported import Interface, Runs, contents, trained
from segsweep.inference.forms.form import DEFAULT, Form, Wishes
from segsweep.inference.forms.recording import prepared
from segsweep.inference.trained import Trained
from segsweep.networks import Segmenter

log = logging.getLogger("segsweep")


class ProgramForm(Form):
    """A file that another runtime executes. A subclass saves and opens it."""

    runs_code = False
    """Whether to open a file is to execute machine code that it brings."""

    @abstractmethod
    def save(self, network: Segmenter, path: Path, held: Mapping[str, str]) -> None:
        """Write a network, which is in evaluation mode and on the CPU, with metadata."""

    @abstractmethod
    def open(self, path: Path, device: torch.device) -> tuple[Mapping[str, str], Runs]:
        """Return a file's metadata and the function that it is; what it raises is taken for damage."""

    def write(self, trained: Trained, target: Path, wishes: Wishes = DEFAULT) -> None:
        """Write a file; it gets its name when it has been compared with torch.

        Raises:
            UserError: torch cannot record the network, a package is missing, the file computes something
                else, or cannot be written.
        """
        self.check(wishes)
        network = self.own_network(trained)
        stride = None if network.encoder is None else network.encoder.output_stride
        interface = Interface.between(trained.description, self.name, wishes.preprocessing, stride)
        recordable = prepared(network, wishes.preprocessing)
        with drafted(target, "out=FILE", f"tmp{self.suffix}") as draft:
            self.save(recordable, draft, contents(trained.description, interface))
            exported = self._read(draft, torch.device("cpu"))
            reference, images = prepared(network, "inside"), trained.images()
            found = agreement.check(reference, exported.network, images, self.name)
        log.info(str(found))

    def read(self, path: Path, device: torch.device, trust: bool = False) -> Trained:
        """Load a file.

        Raises:
            UserError: it is damaged, or brings machine code, unless `trust` is set.
        """
        if self.runs_code and not trust:
            raise UserError(
                f"{path}: holds machine code ({self.name}), which is executed as it is; if you trust where "
                "it comes from, add trust=true"
            )
        return self._read(path, device)

    def _read(self, path: Path, device: torch.device) -> Trained:
        try:
            held, runs = self.open(path, device)
        except (UserError, ImportError):
            raise
        except Exception as error:  # each runtime has its own
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise DamagedFileError(
                path, f"cannot be read ({said:.200})", "export the network again"
            ) from error
        return trained(path, held, runs, device)
