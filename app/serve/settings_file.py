"""The settings file: YAML, checked key by key against the dataclasses of `app.serve.settings`."""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from app.serve.settings import Settings
from operators.core.errors import UsageError
from operators.core.options import OptionError

__all__ = ["build", "read_settings"]


_KINDS = {float: "a number", int: "a whole number", str: "text", Path: "a path"}


def read_settings(file: Path | None, given: Mapping[str, Any]) -> Settings:
    """Read settings from a YAML file. Options of the command line override them.

    Parameters
    ----------
    file : Path or None
    given : mapping of str to object
        Value by key, such as ``spool`` or ``dicom.port``; None is ignored.

    Raises
    ------
    OptionError
        If a key is unknown or its value cannot be used. The error names the key.
    UsageError
        If the file is not a YAML mapping.
    """
    content = {} if file is None else _loaded(file)
    for key, value in given.items():
        if value is None:
            continue
        *section, name = key.split(".")
        place = content
        for part in section:
            place[part] = dict(place[part]) if isinstance(place.get(part), Mapping) else {}
            place = place[part]
        place[name] = value
    if "spool" not in content:
        check_names(Settings, content, "")  # a misspelt spool is the likely cause
    if not content.get("spool"):
        raise OptionError("spool", "not given", "a folder for the queue", "Set spool in the file, or give --spool.")
    settings: Settings = build(Settings, content, "")
    return settings


def build(kind: type, content: object, where: str) -> Any:
    """Build a settings object from YAML content. Every value is checked against the field's type.

    Parameters
    ----------
    kind : type
        A dataclass of `app.serve.settings`.
    content : object
        Must be a mapping.
    where : str
        Prefix of its keys in messages, such as ``dicom.``.

    Raises
    ------
    OptionError
        If a key or value is wrong. The error names the key.
    """
    if not isinstance(content, Mapping):
        raise OptionError(where.rstrip(".") or "settings", "not a mapping", "keys with values", "Correct it.")
    types = typing.get_type_hints(kind)
    check_names(kind, content, where)
    values = {key: _value(types[key], value, f"{where}{key}") for key, value in content.items()}
    absent = [item.name for item in dataclasses.fields(kind) if item.default is item.default_factory]
    for name in absent:  # a field without a default: both are MISSING
        if name not in values:
            raise OptionError(f"{where}{name}", "not given", "a value", "Add it.")
    return kind(**values)


def check_names(kind: type, content: Mapping[str, object], where: str) -> None:
    """Check that each key is a field of ``kind``.

    Raises
    ------
    OptionError
        If one is not. The error names the nearest field.
    """
    known = [item.name for item in dataclasses.fields(kind)]
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise OptionError(
                f"{where}{key}",
                "an unknown key",
                f"one of {', '.join(known)}",
                f"Did you mean {near[0]}?" if near else "Correct its name.",
            )


def _loaded(file: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"settings {file.name}", f"cannot be read ({error.strerror})", "a readable file", "Check the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise UsageError(f"settings {file.name}", f"not YAML{line}", "a mapping of settings", "Correct it.") from None
    if not isinstance(loaded or {}, Mapping):
        raise UsageError(f"settings {file.name}", "not a mapping", "keys with values", "Correct it.")
    return dict(loaded or {})


def _value(wanted: Any, value: object, name: str) -> Any:
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return build(wanted, value, f"{name}.")
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is tuple:
        if not isinstance(value, list | tuple):
            raise OptionError(name, "not a list", "a list", "Write it as a YAML list.")
        return tuple(_value(arguments[0], item, f"{name}[{index}]") for index, item in enumerate(value))
    if type(None) in arguments:
        return None if value is None else _value(arguments[0], value, name)
    accepted = {float: (int, float), int: (int,), str: (str,), Path: (str, Path)}[wanted]
    if isinstance(value, bool) or not isinstance(value, accepted):
        said = _KINDS.get(type(value), f"a {type(value).__name__}")
        raise OptionError(name, said, _KINDS[wanted], "Correct the settings file.")
    if wanted is float and not math.isfinite(value):  # type: ignore[arg-type]
        raise OptionError(name, str(value), "a number", "Correct it.")  # NaN is neither above nor below any limit
    return wanted(value)
