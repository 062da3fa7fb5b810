"""All forms, in the order in which a path is tried."""

from segsweep.inference.forms.form import Form
from segsweep.inference.forms.hub import Hub

FORMS: tuple[Form, ...] = (Hub(),)


def by_name() -> dict[str, Form]:
    """Return the forms by the names that `format=` takes."""
    return {form.name: form for form in FORMS}
