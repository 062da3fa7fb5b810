"""format=torch_export: torch's own recorded program, for Python with torch and nothing of segsweep."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from segsweep.inference.forms.exported import DESCRIPTION, INTERFACE, Runs
from segsweep.inference.forms.program_form import ProgramForm
from segsweep.inference.forms.recording import Program, attempt, quiet, recorded

COMPILED = "/data/aotinductor/"


class TorchExport(ProgramForm):
    """An ExportedProgram; metadata in its extra files."""

    name = "torch_export"
    suffix = ".pt2"
    summary = "torch's recorded program: torch.export.load(FILE).module(), without segsweep"

    def is_at(self, path: Path) -> bool:
        """Return whether it is a .pt2 archive without compiled code."""
        return super().is_at(path) and not is_compiled(path)

    def save(self, program: Program, path: Path, held: Mapping[str, str]) -> None:
        """Write the program."""
        with quiet():
            record = recorded(program)
            attempt(lambda: torch.export.save(record, path, extra_files=dict(held)))

    def open(self, path: Path, device: torch.device) -> tuple[Mapping[str, str], Runs]:
        """Load the program and move it to the device."""
        held = {DESCRIPTION: "", INTERFACE: ""}
        with quiet():
            program = torch.export.load(path, extra_files=held)
            if device.type != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            module = program.module()
        return held, lambda image: module(image)


def is_compiled(path: Path) -> bool:
    """Return whether an archive holds compiled code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(COMPILED in name for name in archive.namelist())
