"""format=onnx: for ONNX Runtime, TensorRT, OpenVINO and others."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segsweep.errors import UserError
from segsweep.inference.forms.exported import Runs
from segsweep.inference.forms.form import Wishes
from segsweep.inference.forms.program_form import ProgramForm
from segsweep.inference.forms.recording import Program, attempt, quiet, recorded, sizes_of_any_rest

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class Onnx(ProgramForm):
    """A graph of standard operators; metadata in `metadata_props`."""

    name = "onnx"
    suffix = ".onnx"
    summary = "a graph for ONNX Runtime, TensorRT, OpenVINO and others"

    def check(self, wishes: Wishes) -> None:
        """Raise UserError if a package of the extra `onnx` is missing."""
        for package in PACKAGES:
            needed(package)

    def save(self, program: Program, path: Path, held: Mapping[str, str]) -> None:
        """Write an ONNX model of the opset that torch prefers."""
        with quiet(), sizes_of_any_rest():
            made: Any = attempt(
                lambda: torch.onnx.export(
                    recorded(program),
                    dynamo=True,
                    verbose=False,
                    input_names=["image"],
                    output_names=[program.wishes.output],
                )
            )
        model = made.model
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.shape = type(value.shape)(["batch", *value.shape[1:-2], "height", "width"])
        model.metadata_props.update(held)
        made.save(path)

    def open(self, path: Path, device: torch.device) -> tuple[Mapping[str, str], Runs]:
        """Open a session on torch's number of threads: on a GPU if ONNX Runtime can, else on the CPU."""
        runtime = needed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
        there = [name for name in wanted if name in runtime.get_available_providers()]
        session = runtime.InferenceSession(path, options, providers=[*there, "CPUExecutionProvider"])

        def runs(image: Tensor) -> Tensor:
            try:
                (found,) = session.run(None, {"image": image.cpu().numpy()})
            except Exception as error:  # of ONNX Runtime's own classes, which have no common base
                raise RuntimeError(str(error)) from error
            return torch.from_numpy(found)

        return session.get_modelmeta().custom_metadata_map, runs


def needed(package: str) -> Any:
    """Import a package; raise UserError that names the extra if it is not installed."""
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(
            f"format=onnx: the package {package} is not installed: pip install 'segsweep[onnx]'"
        ) from error
