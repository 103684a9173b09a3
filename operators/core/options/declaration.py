"""How an option is declared: once, as an annotated field of a frozen dataclass.

The field states its type and default. Its `Literal`, if it has one, lists the
choices. Its entry in the class's docstring is the help text. The class's
``__post_init__`` checks the value. Command lines, YAML files, environment
variables and the record in ``report.json`` derive from these.

The annotations are those of cyclopts. It reads dataclasses and their
docstrings directly, shows help in 0.15 s, suggests the nearest valid word,
reads YAML and the environment, and leaves error handling to us.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from operators.core.errors import UsageError

__all__ = ["Flag", "OptionError", "TogetherWith", "WholeNumber", "check_choices", "flag_of", "recorded", "section"]

Flag = Parameter(negative="", show_default=False)
"""A switch that is off unless it is given; it has no ``--no-`` form."""


def _whole_number(_: type, tokens: Sequence[Any]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value} is not a whole number") from None


WholeNumber = Parameter(converter=_whole_number)
"""An integer that is not rounded: 1.5 is refused."""

TogetherWith = Parameter(name="*")
"""A field that holds a dataclass, whose fields become options of the command itself."""

_SECRET = "secret"


def section(title: str, position: int) -> Group:
    """A heading of the help text. Sections are shown in the order of ``position``."""
    return Group(title, sort_key=position)


class OptionError(UsageError):
    """An option has a value that cannot be used.

    Parameters
    ----------
    field : str
        Name of the dataclass field; a command line shows its flag instead.
    found, expected, remedy : str
        As for `SarcoMapError`.
    """

    def __init__(self, field: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(field, found, expected, remedy)
        self.field = field


def check_choices(options: Any) -> None:
    """Check every `Literal` field of a dataclass instance.

    Raises
    ------
    OptionError
        When a value is not among the choices. The error names the field, the
        choices and the nearest one.
    """
    kind: type = type(options)
    for name, choices in _choices(kind).items():
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            if one is not None and one not in choices:
                near = difflib.get_close_matches(str(one), choices, n=1)
                raise OptionError(
                    name,
                    repr(one),
                    _either(choices),
                    f"Did you mean {near[0]}?" if near else "Choose one of them.",
                )


def _either(choices: tuple[str, ...]) -> str:
    """Words in a row: ``a``, ``a or b``, ``a, b or c``."""
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def flag_of(field: str, *classes: type) -> str:
    """The flag of a field, searched in dataclasses of options and the dataclasses that they hold.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Options:
    ...     spacing_mm: Annotated[float, Parameter(name="--spacing")] = 2.0
    ...     clean_up: bool = False
    >>> flag_of("spacing_mm", Options), flag_of("clean_up", Options)
    ('--spacing', '--clean-up')
    """
    for cls in classes:
        for name, parameter in _parameters(cls):
            if name == field and parameter is not None and parameter.name:
                names = tuple(parameter.name)
                return str(names[-1])
    return "--" + field.replace("_", "-")


def recorded(options: Any) -> dict[str, Any]:
    """Every option with its value, in JSON types, nested like the dataclasses.

    Files are recorded by name, never by path. Of a secret, only its presence is recorded.
    """
    record: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        record[field.name] = bool(value) if field.metadata.get(_SECRET) else _plain(value)
    return record


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return recorded(value)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


@cache
def _choices(cls: type) -> dict[str, tuple[str, ...]]:
    """The choices of each `Literal` field, including those inside ``| None`` and tuples."""

    def literals(hint: Any) -> Iterator[str]:
        if get_origin(hint) is Literal:
            yield from get_args(hint)
        elif get_origin(hint) in (Union, UnionType, tuple):
            for part in get_args(hint):
                yield from literals(part)

    hints = get_type_hints(cls)
    found = {field.name: tuple(literals(hints[field.name])) for field in dataclasses.fields(cls)}
    return {name: choices for name, choices in found.items() if choices}


def _parameters(cls: type) -> Iterator[tuple[str, Parameter | None]]:
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(plain):
            yield from _parameters(plain)  # type: ignore[arg-type]
        else:
            named = [note for note in notes if isinstance(note, Parameter) and note.name]
            yield field.name, named[-1] if named else None
