"""Small files as classes: field, type, default, meaning and check in one place.

Disks flip bits and people edit files, so a file is checked against its class when it is read. If it does not
fit, the error is one line with the file's name, never a traceback. Fields that a class lacks, such as those
of other versions, are kept when the file is written again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Self, Union, get_args, get_origin, get_type_hints

from segsweep.errors import DamagedFileError
from segsweep.rules import is_number, is_whole
from segsweep.runs.documents import read_json, read_yaml

Read = Callable[[Any], Any]
"""Turns a value of a file into one of a field, or raises ValueError."""


def named(key: str, **options: Any) -> Any:
    """Declare a field that has another key in the file."""
    return field(metadata={"key": key}, **options)


@dataclass(frozen=True, kw_only=True)
class Record:
    """Named values, as JSON and YAML files hold them.

    The annotation of a field is its check. An `int` is a count, 0 or more, a `float` may be NaN, and
    `Annotated[type, condition]` narrows a type. A field without a default must be in the file.
    """

    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What the file holds, with fields that the class does not have; empty if no file was read."""

    @classmethod
    def _known(cls) -> "list[_Field]":
        return _fields(cls)  # type: ignore[arg-type]  # a class of dataclass has no hash to mypy

    @classmethod
    def of(cls, content: Any) -> Self:
        """Return a file's content as a record.

        Raises:
            ValueError: if it does not fit; the message names the first wrong field.
        """
        if not isinstance(content, dict):
            raise ValueError(f"{content!r:.40} instead of named fields")
        values = {}
        for known in cls._known():
            if known.key in content:
                try:
                    values[known.name] = known.read(content[known.key])
                except (ValueError, TypeError, OverflowError):
                    raise ValueError(f"{known.key} is {content[known.key]!r:.40}") from None
        missing = [known.key for known in cls._known() if known.is_required and known.key not in content]
        if missing:
            raise ValueError(f"no {min(missing)}")
        return cls(**values, content=content)

    @classmethod
    def read(cls, path: Path, repair: str) -> Self | None:
        """Return what a JSON or YAML file holds; None if there is no such file.

        `repair` says what to do about a damaged one.

        Raises:
            DamagedFileError: if it is not JSON or YAML, or does not fit the class.
        """
        content = (read_yaml if path.suffix == ".yaml" else read_json)(path, repair)
        if content is None and not path.exists():
            return None
        try:
            return cls.of(content)
        except ValueError as error:
            raise DamagedFileError(path, f"damaged ({error})", repair) from error

    def plain(self) -> dict[str, Any]:
        """Return the record for a file: the content that was read, or else all fields."""
        if self.content:
            return dict(self.content)
        return {known.key: _plain(getattr(self, known.name)) for known in self._known()}

    def changed(self, **changes: Any) -> Self:
        """Return the record with some fields changed.

        Raises:
            TypeError: if there is no such field.
            ValueError: if a value does not fit its field.
        """
        keys = {known.name: known.key for known in self._known()}
        if unknown := changes.keys() - keys.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        return self.of({**self.plain(), **{keys[name]: _plain(value) for name, value in changes.items()}})


class _Field(NamedTuple):
    name: str
    key: str
    read: Read
    is_required: bool


@cache
def _fields(cls: type[Record]) -> list[_Field]:
    hints = get_type_hints(cls, include_extras=True)
    return [
        _Field(
            known.name,
            known.metadata.get("key", known.name),
            reader(hints[known.name]),
            known.default is MISSING and known.default_factory is MISSING,
        )
        for known in fields(cls)
        if known.name != "content"
    ]


def reader(kind: Any) -> Read:
    """Return the reader of a type: a key of `CHECKS`, a record, an enumeration, or made of these."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        kinds = [kind for kind in arguments if kind is not NoneType]
        alternatives = [reader(kind) for kind in kinds]

        def read_first(value: Any) -> Any:
            if value is None and len(kinds) < len(arguments):
                return None
            for read in alternatives[:-1]:
                with suppress(ValueError, TypeError):
                    return read(value)
            return alternatives[-1](value)

        return read_first
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.of
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    of = arguments[-1 if origin is dict else 0] if origin in (Annotated, tuple, dict) else Any
    inner = None if of is Any else reader(of)
    check = arguments[1] if origin is Annotated else CHECKS[origin or kind]

    def read_checked(value: Any) -> Any:
        read = inner(value) if inner and origin is Annotated else value
        if not check(read):
            raise ValueError(value)
        if inner is None or origin is Annotated:
            return read
        return tuple(map(inner, value)) if origin is tuple else {key: inner(v) for key, v in value.items()}

    return read_checked


CHECKS: Mapping[Any, Callable[[Any], bool]] = {
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: is_whole(value, least=0),
    float: lambda value: isinstance(value, float) or is_number(value),
    tuple: lambda value: isinstance(value, list),
    dict: lambda value: isinstance(value, dict),
    Any: lambda value: True,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.plain()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.value if isinstance(value, Enum) else value
