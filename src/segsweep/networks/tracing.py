"""Whether operators are computed or recorded: some ways to compute cannot be recorded for every size."""

import torch


def is_traced() -> bool:
    """Whether torch records the operators of a program, to compile or to export it."""
    return torch.compiler.is_compiling() or is_exported()


def is_exported() -> bool:
    """Whether the program is for another runtime, and for images of any size."""
    if torch.compiler.is_compiling():  # asked first, as the other question would cut a compiled graph in two
        return torch.compiler.is_exporting()
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
