"""How a failure is told in one line."""

from segsweep.errors import UserError


def one_line(error: BaseException) -> str:
    """An error as a line; one that a loader's worker raised, without the worker's traceback."""
    text = str(error).strip()
    if isinstance(error, UserError):
        return text.rsplit("Error: ", 1)[-1] if "Original Traceback" in text else text
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
