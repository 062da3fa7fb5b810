"""How a failure is told in one line."""

from segsweep.errors import UserError


def one_line(error: BaseException) -> str:
    """An error as a line: a user's mistake in its own words, anything else with its kind."""
    text = str(error).strip()
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
