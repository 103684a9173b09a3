"""Reference of the settings file for the help text, generated from the settings' dataclasses."""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from docstring_parser import parse

from app.serve.settings import EXAMPLE, Destination, Settings

__all__ = ["explanations", "reference"]

_WIDTH = 79
_LEFT = 38
#: Each kind of destination with its further keys.
_DESTINATIONS = {"dicomweb": ("auth", "ca"), "dimse": ("ae_title", "calling_ae_title"), "folder": ()}


@cache
def reference() -> str:
    """A complete settings file in YAML: every key has its default or an example, and a comment explains it."""
    return "\n".join(_mapping(Settings, "  "))


def explanations(kind: type) -> dict[str, str]:
    """Description of each field in a dataclass's docstring."""
    described = parse(kind.__doc__ or "").params
    return {one.arg_name: " ".join((one.description or "").split()) for one in described}


def _mapping(kind: type, indent: str) -> Iterator[str]:
    types, said = typing.get_type_hints(kind), explanations(kind)
    for item in dataclasses.fields(kind):
        wanted = types[item.name]
        if dataclasses.is_dataclass(wanted):
            yield from _line(f"{indent}{item.name}:", (wanted.__doc__ or "").split("\n")[0])
            yield from _mapping(typing.cast(type, wanted), indent + "  ")
        elif typing.get_args(wanted)[:1] == (Destination,):
            yield from _line(f"{indent}{item.name}:", said[item.name])
            yield from _destinations(indent + "  ")
        else:
            yield from _line(f"{indent}{item.name}: {_shown(item)}", said[item.name])


def _destinations(indent: str) -> Iterator[str]:
    """One entry for each kind of destination."""
    said = explanations(Destination)
    items = {item.name: item for item in dataclasses.fields(Destination)}
    for address, more in _DESTINATIONS.items():
        yield from _line(f"{indent}- name: {address}", said["name"] if address == "dicomweb" else "")
        for name in (address, *more):
            yield from _line(f"{indent}  {name}: {_shown(items[name])}", said[name])


def _shown(item: dataclasses.Field[Any]) -> str:
    value = item.metadata.get(EXAMPLE, item.default)
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _line(setting: str, explanation: str) -> Iterator[str]:
    for line in textwrap.wrap(explanation, _WIDTH - _LEFT - 2) or [""]:
        if len(setting) > _LEFT - 2:
            yield setting
            setting = ""
        yield f"{setting:{_LEFT}}# {line}" if line else setting
        setting = ""
