"""format=torchscript: for C++ programs and phones that still read TorchScript, which torch has deprecated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segsweep.inference.forms.exported import DESCRIPTION, INTERFACE, Runs
from segsweep.inference.forms.program_form import ProgramForm
from segsweep.inference.forms.recording import Program, attempt, quiet


class TorchScript(ProgramForm):
    """A trace; metadata in its extra files.

    A trace follows what the example image does. Networks are written so that nothing they do depends on its
    size; if one does, the check at other sizes finds it.
    """

    name = "torchscript"
    suffix = ".ts"
    summary = "a trace for torch.jit.load, which torch has deprecated"

    def save(self, program: Program, path: Path, held: Mapping[str, str]) -> None:
        """Write the trace."""
        jit: Any = torch.jit
        with quiet():
            script = attempt(lambda: jit.trace(program, (program.example(),), check_trace=False))
            jit.save(script, path, _extra_files=dict(held))

    def open(self, path: Path, device: torch.device) -> tuple[Mapping[str, str], Runs]:
        """Load the trace onto the device."""
        jit: Any = torch.jit
        held: dict[str, Any] = {DESCRIPTION: "", INTERFACE: ""}
        with quiet():
            module = jit.load(path, map_location=device, _extra_files=held)
        return {name: text.decode() for name, text in held.items()}, lambda image: module(image)
