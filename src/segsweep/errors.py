"""The errors that are the user's to mend: one line each, naming what was found and what to do.

The command line prints these without a traceback; every other exception is a fault of ours and keeps it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from segsweep.processes import signal_name

MANY = 100  # names that a message may list


class UserError(Exception):
    """Something the user wrote or gave is wrong; the message names it and its remedy."""


class ConfigError(UserError, ValueError):
    """A configuration key or value is wrong."""


class DataError(UserError, ValueError):
    """A file of a data set is missing, unreadable or not what its layout promises."""


class PreemptedError(UserError):
    """The process was asked to end; the same command goes on from the last checkpoint."""

    def __init__(self, signum: int, where: str) -> None:
        super().__init__(f"stopped by {signal_name(signum)} {where}; the same command goes on")
        self.signum = signum


def causes(error: BaseException) -> list[BaseException]:
    """Return the error and what caused it, each once, even if the chain is circular."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and not any(cause is known for known in chain):
        chain.append(cause)
    return chain


def near(name: str, known: Iterable[str]) -> str:
    """Names close to a mistyped one, as a phrase for an error message; all where none is close.

    Of very many only the first are named: timm has 1300 models.
    """
    known = sorted(known)
    matches = get_close_matches(name, known, n=3, cutoff=0.5)
    listed = known if len(known) <= MANY else [*known[:5], f"… ({len(known)} in all)"]
    return f"did you mean {' or '.join(matches)}?" if matches else f"known: {', '.join(listed)}"
