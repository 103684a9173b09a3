"""Headers of tables: the forms in which UK Biobank's platforms and converters write a field's name.

=============================  ==========================================
``p50_i2``, ``p50_i2_a0``      Research Analysis Platform, Table Exporter
``participant.p50_i2``         Research Analysis Platform, ``dx extract_dataset``
``50-2.0``, ``X50.2.0``        converted csv; the same after R's ``read.csv``
``f.50.2.0``, ``n_50_2_0``     converted R and Stata tables
``Standing height | Instance 2``  field titles, with ``| Array 0`` if needed
=============================  ==========================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["FieldColumn", "comparable", "field_columns", "plain_name"]

_PREFIX = re.compile(r"^participant\.", re.IGNORECASE)
_NUMBERED = re.compile(
    r"^(?:p(?P<p>\d+)(?:_i(?P<pi>\d+))?(?:_a(?P<pa>\d+))?"
    r"|X?(?P<d>\d+)[-.](?P<di>\d+)\.(?P<da>\d+)"
    r"|(?:f|n|s|ts)[._](?P<f>\d+)[._](?P<fi>\d+)[._](?P<fa>\d+))$"
)
_TITLED = re.compile(r"^(?P<title>.+?)(?: instance (?P<instance>\d+))?(?: array (?P<array>\d+))?$")


@dataclass(frozen=True)
class FieldColumn:
    """One column of a UK Biobank field.

    Attributes
    ----------
    column : str
        Name in the table.
    number : int
        Field number.
    instance : int or None
        Visit; None if the name has none.
    array : int
        Array index, 0 if the name has none.
    """

    column: str
    number: int
    instance: int | None
    array: int


def plain_name(column: str) -> str:
    """Remove the prefix ``participant.``, with which `dx extract_dataset` begins every name."""
    return _PREFIX.sub("", column.strip())


def field_columns(header: Iterable[str], titles: Mapping[str, int]) -> list[FieldColumn]:
    """Find the columns of a header that are UK Biobank fields.

    Parameters
    ----------
    header : iterable of str
    titles : mapping of str to int
        Field numbers by title, as `comparable` writes it.
    """
    found = []
    for column in header:
        name = plain_name(column)
        if match := _NUMBERED.match(name):
            g = match.groupdict()
            number = next(int(g[key]) for key in ("p", "d", "f") if g[key])
            instance = next((int(g[key]) for key in ("pi", "di", "fi") if g[key]), None)
            array = next((int(g[key]) for key in ("pa", "da", "fa") if g[key]), 0)
            found.append(FieldColumn(column, number, instance, array))
        elif (match := _TITLED.match(comparable(name))) and match["title"] in titles:
            instance = int(match["instance"]) if match["instance"] else None
            found.append(FieldColumn(column, titles[match["title"]], instance, int(match["array"] or 0)))
    return found


def comparable(text: str) -> str:
    """Lower case with single spaces between words, because converters replace spaces, bars and brackets."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()
