"""Keys that a later config or an option adds to the configs before it, and whether anything reads them.

MONAI takes every key: ``--train#max_epoch 3`` makes a new entry beside those that the training reads.
"""

from __future__ import annotations

import inspect
import pydoc
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser
from monai.bundle.utils import merge_kv

__all__ = ["AddedKey", "LayeredConfigs"]

_LOCATOR = ComponentLocator()
_LEVEL = re.compile("#|::")
_RELATIVE = re.compile(r"[@%](?:#|::)+([\w#:]+)")


@dataclass(frozen=True)
class AddedKey:
    """A key that configs did not have before.

    Attributes
    ----------
    path : tuple of str
        Keys and places in lists, from the top.
    origin : str
        Name of the config that adds it, or ``option --NAME``.
    """

    path: tuple[str, ...]
    origin: str

    @property
    def name(self) -> str:
        """The path as MONAI's command line has it."""
        return "#".join(self.path)


class LayeredConfigs:
    """Configs laid over each other as MONAI does, without evaluating them.

    Parameters
    ----------
    base : mapping
        The first config. Its own keys are not in question.

    Attributes
    ----------
    added : list of AddedKey
        What the later ones added, in their order. A key with a value of several keys counts once for each.
    """

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._parser = ConfigParser(config={})
        self.added: list[AddedKey] = []
        for key, value in base.items():
            merge_kv(self._parser, key, value)

    @property
    def content(self) -> dict[str, Any]:
        """The merged config."""
        return dict(self._parser.get())

    def lay(self, settings: Mapping[str, Any], origin: str | None = None) -> None:
        """Lay settings over the configs.

        Parameters
        ----------
        settings : mapping
            Keys of any level, and their values.
        origin : str, optional
            Name of the config. Default: each is an option of the command line.
        """
        for key, value in settings.items():
            path = tuple(_LEVEL.split(key.removeprefix("+")))
            whose = origin or f"option --{key}"
            paths = [] if isinstance(value, list) and key.startswith("+") else list(_paths(path, value))
            self.added += [AddedKey(one, whose) for one in paths if "#".join(one) not in self._parser]
            if path[-1] == "_target_":  # the old target's arguments are new to this one
                of = self._parser.get("#".join(path[:-1]))
                self.added += [AddedKey((*path[:-1], str(name)), whose) for name in of or ()]
            if path[0] not in self._parser and len(path) > 1:
                self.added.append(AddedKey(path[:1], whose))
            try:
                merge_kv(self._parser, key, value)
            except (KeyError, IndexError, ValueError, TypeError):
                continue  # MONAI has said so itself before this

    def readable(self, key: AddedKey) -> list[str] | None:
        """Names that something would read in the place of a key that nothing reads; None if something may read it."""
        *parents, last = key.path
        content: Any = self.content
        replaced = bool(parents) and key.name not in self._parser
        if last.startswith("_") or replaced or self._is_referenced(key.path):
            return None
        if not parents:
            return sorted(content)
        for depth, name in enumerate(parents, start=1):
            content = _child(content, name)
            inside = depth < len(parents)
            if not isinstance(content, (Mapping, list)):
                return None
            if isinstance(content, Mapping) and "_target_" in content:
                return None if inside else self._unknown_argument(content, last)
        if any(self._is_passed_on(parents[:depth]) for depth in range(1, len(key.path))):
            return None
        return sorted(map(str, content)) if isinstance(content, Mapping) else None

    def _unknown_argument(self, component: Mapping[str, Any], name: str) -> list[str] | None:
        """The arguments of a component that does not take one of this name; None if it may."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # MONAI gives them when it makes the component
                target = ConfigComponent(dict(component), locator=_LOCATOR).resolve_module_name()
                # What wraps a function may take more than that: MONAI's wrappers take the former names of arguments.
                taken = inspect.signature(pydoc.locate(str(target)), follow_wrapped=False).parameters  # type: ignore[arg-type]
        except (TypeError, ValueError, AttributeError, pydoc.ErrorDuringImport):
            return None
        if name in taken or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values()):
            return None
        return sorted(taken)

    def _is_referenced(self, path: Sequence[str]) -> bool:
        """Whether a text of the configs refers to a key or to something in it."""
        text = "\n".join(_texts(self.content))
        if re.search(rf"[@%]{_pattern(path)}(?!\w)", text):
            return True
        return any(path[-1] in _LEVEL.split(found) for found in _RELATIVE.findall(text))

    def _is_passed_on(self, path: Sequence[str]) -> bool:
        """Whether a text of the configs hands a mapping or list on as a whole, to a reader that is not known."""
        text = "\n".join(_texts(self.content))
        return bool(_RELATIVE.search(text) or re.search(rf"[@%]{_pattern(path)}(?!\w|#|::)", text))


def _paths(path: tuple[str, ...], value: Any) -> Iterator[tuple[str, ...]]:
    """A key and all keys in its value."""
    yield path
    items: Collection[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, item in items:
        yield from _paths((*path, str(key)), item)


def _child(content: Any, name: str) -> Any:
    try:
        return content[int(name)] if isinstance(content, list) else content.get(name)
    except (ValueError, IndexError):
        return None


def _pattern(path: Sequence[str]) -> str:
    return "(?:#|::)".join(map(re.escape, path))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
