"""All forms, in the order in which a path is tried."""

from segsweep.inference.forms.aoti import Aoti
from segsweep.inference.forms.form import Form
from segsweep.inference.forms.hub import Hub
from segsweep.inference.forms.onnx import Onnx
from segsweep.inference.forms.torch_export import TorchExport
from segsweep.inference.forms.torchscript import TorchScript

FORMS: tuple[Form, ...] = (Onnx(), TorchExport(), Aoti(), TorchScript(), Hub())


def by_name() -> dict[str, Form]:
    """Return the forms by the names that `format=` takes."""
    return {form.name: form for form in FORMS}
