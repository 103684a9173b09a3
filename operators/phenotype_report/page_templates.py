"""The templates of the pages, and the filters that they use."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from operators.core.phenotypes import PHENOTYPES
from operators.phenotype_report.page_numbers import fixed, ordinal, percent, plain, volume

__all__ = ["data_uri", "template"]

_OVERRIDES = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def data_uri(picture: bytes) -> str:
    """A PNG or JPEG as a ``data:`` URI."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def template(name: str) -> jinja2.Template:
    """A template of this package, with the page's filters."""
    return _environment().get_template(name)


def _without_overrides(value: Any) -> Any:
    """A text without the characters that turn the direction of what follows them, our own words too (UAX 9, 2)."""
    return value.translate(_OVERRIDES) if type(value) is str else value


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("operators.phenotype_report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_overrides,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "fixed": fixed,
        "ordinal": ordinal,
        "percent": percent,
        "plain": plain,
        "touches": _touches,
        "volume": volume,
    }
    return environment


def _touches(flag: Mapping[str, Any]) -> str:
    """The numbers of the page's cards that a flag casts doubt on, in words; empty if there are none."""
    touched = [PHENOTYPES[key] for key in flag.get("touches", ()) if key in PHENOTYPES]
    if flag["severity"] == "error" or not touched:
        return ""
    if len(touched) == len(PHENOTYPES):
        return "all numbers"
    return ", ".join(p.title for p in touched if p.card is not None and not p.deprecated) or touched[0].title
