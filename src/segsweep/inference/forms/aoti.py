"""format=aoti: the recorded program compiled to machine code by AOTInductor, for Python or C++."""

import shutil
from collections.abc import Mapping
from os import environ
from pathlib import Path

import torch

from segsweep.errors import UserError
from segsweep.inference.forms.exported import Runs
from segsweep.inference.forms.form import Wishes
from segsweep.inference.forms.program_form import ProgramForm
from segsweep.inference.forms.recording import ODD, Program, attempt, quiet, recorded
from segsweep.inference.forms.torch_export import is_compiled


class Aoti(ProgramForm):
    """A package of compiled code for this machine's processor; metadata beside the code."""

    name = "aoti"
    suffix = ".pt2"
    summary = "compiled for this machine's processor: torch._inductor.aoti_load_package(FILE), or C++"
    runs_code = True

    def is_at(self, path: Path) -> bool:
        """Return whether it is a .pt2 archive of compiled code."""
        return super().is_at(path) and is_compiled(path)

    def check(self, wishes: Wishes) -> None:
        """Raise UserError if there is no C++ compiler."""
        compiler = environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            raise UserError(
                f"format=aoti: no C++ compiler ({compiler}) is installed here; install g++, set CXX, or use "
                "format=torch_export"
            )

    def save(self, program: Program, path: Path, held: Mapping[str, str]) -> None:
        """Compile the program, which takes a minute or more."""
        from torch._inductor import aoti_compile_and_package  # half a second

        record = recorded(program, ODD)
        settings = {"aot_inductor.metadata": dict(held)}
        with quiet():
            attempt(
                lambda: aoti_compile_and_package(record, package_path=str(path), inductor_configs=settings)
            )

    def open(self, path: Path, device: torch.device) -> tuple[Mapping[str, str], Runs]:
        """Load the code; it computes on the CPU, as it was compiled there."""
        from torch._inductor import aoti_load_package

        with quiet():
            package = aoti_load_package(str(path))
        return package.loader.get_metadata(), lambda image: package(image.cpu())
