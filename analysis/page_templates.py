"""The templates of the pages, in which every text from outside is escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined, select_autoescape

__all__ = ["page_environment"]

_OVERRIDES = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def page_environment(undefined: type[Undefined] = StrictUndefined) -> Environment:
    """The environment that renders a page's template."""
    return Environment(
        loader=PackageLoader("analysis", "templates"),
        autoescape=select_autoescape(default_for_string=True, default=True),
        undefined=undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_overrides,
    )


def _without_overrides(value: Any) -> Any:
    """A text without the characters that turn the direction of what follows them, our own words too (UAX 9, 2)."""
    return value.translate(_OVERRIDES) if type(value) is str else value
