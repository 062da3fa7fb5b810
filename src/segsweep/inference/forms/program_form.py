"""What the forms that are one file with a recorded program have in common."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import torch

from segsweep.errors import DamagedFileError, UserError
from segsweep.files import drafted
from segsweep.inference.description import Description
from segsweep.inference.forms import agreement
from segsweep.inference.forms.exported import Exported, Interface, Runs, contents, trained, understood
from segsweep.inference.forms.form import DEFAULT, Form, Wishes
from segsweep.inference.forms.recording import Program
from segsweep.inference.trained import Trained

log = logging.getLogger("segsweep")


class ProgramForm(Form):
    """A file that another runtime executes. A subclass saves and opens it."""

    runs_code = False
    """Whether to open a file is to execute machine code that it brings."""

    @abstractmethod
    def save(self, program: Program, path: Path, held: Mapping[str, str]) -> None:
        """Write a program with metadata."""

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
        interface = Interface.between(trained.description, self.name, wishes, stride)
        with drafted(target, "out=FILE", f"tmp{self.suffix}") as draft:
            self.save(Program(network, wishes), draft, contents(trained.description, interface))
            exported, _ = self._opened(draft, torch.device("cpu"))
            reference = Program(network).network
            found = agreement.check(reference, exported.computed, trained.images(), self.name)
        log.info(str(found))

    def read(self, path: Path, device: torch.device, trust: bool = False) -> Trained:
        """Load a file.

        Raises:
            UserError: it is damaged, gives labels, or brings machine code, unless `trust` is set.
        """
        if self.runs_code and not trust:
            raise UserError(
                f"{path}: holds machine code ({self.name}), which is executed as it is; if you trust where "
                "it comes from, add trust=true"
            )
        return trained(*self._opened(path, device), device)

    def _opened(self, path: Path, device: torch.device) -> tuple[Exported, Description]:
        try:
            held, runs = self.open(path, device)
        except (UserError, ImportError):
            raise
        except Exception as error:  # each runtime has its own
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise DamagedFileError(
                path, f"cannot be read ({said:.200})", "export the network again"
            ) from error
        description, interface = understood(path, held)
        return Exported(runs, interface, path), description
