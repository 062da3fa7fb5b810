"""Errors that the user can correct: fields that say what is wrong, and one line composed of them.

The command line prints these without a traceback; any other exception is a bug and keeps it. A component
names its own option, `rates`; the code that builds it adds the part of the configuration with
`error.within("head")`. All can be pickled, because they travel between processes.
"""

import pickle
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Self

from segsweep.processes import signal_name

MANY = 100  # names that a message may list


class UserError(Exception):
    """Something that the user wrote is wrong; the text names it and its remedy."""

    def within(self, part: str) -> Self:
        """Return this error; if it is about an option, prefix the option's name with `part`."""
        return self


class ConfigError(UserError, ValueError):
    """A configuration key or value is wrong."""


class OptionError(ConfigError):
    """An option has a wrong value, or does not exist.

    The text is `option=found: problem; expected …; did you mean …?; remedy`, without the parts that are not
    given. `near` are the existing names, of which it shows those close to the wrong one.
    """

    def __init__(
        self,
        option: str,
        found: Any = ...,
        expected: str | None = None,
        *,
        problem: str | None = None,
        near: Iterable[str] | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(option)
        self.option, self.expected, self.problem, self.remedy = option, expected, problem, remedy
        self.found = None if found is ... else as_typed(found)
        self.near = None if near is None else tuple(near)

    def __str__(self) -> str:
        subject = self.option if self.found is None else f"{self.option}={self.found}"
        expected = f"expected {self.expected}" if self.expected else None
        name = self.option.rpartition(".")[2] if self.found is None else self.found
        names = None if self.near is None else near(name, self.near)
        return f"{subject}: {'; '.join(filter(None, (self.problem, expected, names, self.remedy)))}"

    def within(self, part: str) -> Self:
        """Prefix the option's name with `part`: `rates` within `head` is `head.rates`."""
        self.option = f"{part}.{self.option}"
        return self


class FileError(UserError):
    """A file is missing, unreadable or not what it should be; the text is `file: problem; remedy`."""

    def __init__(self, file: object, problem: str, remedy: str | None = None) -> None:
        super().__init__(str(file), problem, remedy)
        self.file, self.problem, self.remedy = str(file), problem, remedy

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")


class DataError(FileError, ValueError):
    """A file of a dataset is missing, unreadable or contradicts its layout."""


class UnpreparedError(DataError):
    """Files must first be made from those of a dataset; the remedy is the command that does it."""

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}; run: {self.remedy}"


class DamagedFileError(FileError):
    """A file of a run cannot be read."""


class DivergenceError(UserError):
    """The loss of some samples, or a weight, became NaN or infinite in a step (counted from 1)."""

    def __init__(self, what: str, step: int, ids: Sequence[str] = ()) -> None:
        super().__init__(what, step, ids)
        self.what, self.step, self.ids = what, step, list(ids)

    def __str__(self) -> str:
        what, remedy = self.what, "lower optimizer.lr, or set trainer.gradient_clip_val"
        if self.ids:
            what += f" on samples {', '.join(self.ids[:16])}{' …' if len(self.ids) > 16 else ''}"
            remedy = (
                "look at these samples, lower optimizer.lr, or drop such batches with trainer.on_nan=skip"
            )
        return f"step {self.step}: {what}; the last checkpoint is from before it: {remedy}"


class PreemptedError(UserError):
    """The process was asked to end; the same command continues from the last checkpoint."""

    def __init__(self, signum: int, where: str) -> None:
        super().__init__(signum, where)
        self.signum, self.where = signum, where

    def __str__(self) -> str:
        return f"stopped by {signal_name(self.signum)} {self.where}; the same command goes on"


def causes(error: BaseException) -> list[BaseException]:
    """Return the error and its causes, each once, even if the chain is circular."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and not any(cause is known for known in chain):
        chain.append(cause)
    return chain


def portable(error: BaseException) -> BaseException:
    """Return the error, or a plain one with its text if pickle cannot restore it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # the class decides how it is pickled, and may raise anything
        user = isinstance(error, UserError)
        return UserError(str(error)) if user else RuntimeError(f"{type(error).__name__}: {error}")
    return error


def near(name: str, known: Iterable[str]) -> str:
    """Return names close to a mistyped one, as a phrase for an error message; all names if none is close.

    Of more than MANY names only the first five are listed: timm has 1300 models.
    """
    known = sorted(known)
    matches = get_close_matches(name, known, n=3, cutoff=0.5)
    listed = known if len(known) <= MANY else [*known[:5], f"… ({len(known)} in all)"]
    return f"did you mean {' or '.join(matches)}?" if matches else f"known: {', '.join(listed)}"


def as_typed(value: Any) -> str:
    """Return a value as it is typed on a command line: `null`, `true`, `[1,2]`, `{a:1}`."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_typed(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
