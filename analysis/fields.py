"""Recognise the columns of a participants table: canonical names, other names, UK Biobank fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from analysis.errors import DataError, UsageError

__all__ = ["Field", "Source", "find_columns", "read_fields"]

# p50_i2, p50_i2_a0, p31; 50-2.0; f.50.2.0
_UKB_NAME = re.compile(
    r"^(?:p(?P<p>\d+)(?:_i(?P<pi>\d+))?(?:_a(?P<pa>\d+))?"
    r"|(?P<d>\d+)-(?P<di>\d+)\.(?P<da>\d+)"
    r"|f\.(?P<f>\d+)\.(?P<fi>\d+)\.(?P<fa>\d+))$"
)
# `dx extract_dataset` of the Research Analysis Platform puts the entity before each field: participant.p31.
_RAP_ENTITY = "participant."
_KEYS = {"names", "ukb", "instance", "array", "scale", "codes", "range", "looks_like", "unit", "kind"}


@dataclass(frozen=True)
class Field:
    """One canonical column, and rules to recognise, decode and check it.

    Attributes
    ----------
    name : str
        Canonical name.
    names : tuple of str
        Other names of the column.
    ukb : int or None
        UK Biobank field number.
    instance : int, "none" or "any"
        Visit to use; "any" takes the first that has a value.
    array : {"first", "max", "mean"}
        How to combine several array indices into one value.
    scale : float
        Factor from UK Biobank's unit to ours. It applies to UK Biobank columns only.
    codes : mapping of str to str
        Stored code to its meaning; empty for measurements.
    range : (float, float) or None
        Lowest and highest plausible value.
    looks_like : mapping of str to (float, float)
        Other units, with the range of values in each.
    unit : str
    kind : {"id", "code", "date", "number"}
    """

    name: str
    names: tuple[str, ...] = ()
    ukb: int | None = None
    instance: int | str = 2
    array: str = "first"
    scale: float = 1.0
    codes: Mapping[str, str] = field(default_factory=dict)
    range: tuple[float, float] | None = None
    looks_like: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unit: str = ""
    kind: str = "number"

    def __post_init__(self) -> None:
        where = f"field map, {self.name}"
        if self.array not in ("first", "max", "mean"):
            raise UsageError(where, f"array: {self.array}", "first, max or mean", "Correct the field map.")
        if not (isinstance(self.instance, int) or self.instance in ("none", "any")):
            raise UsageError(where, f"instance: {self.instance}", "a number, none or any", "Correct the field map.")


@dataclass(frozen=True)
class Source:
    """Source of a canonical column in one table.

    Attributes
    ----------
    columns : tuple of str
        One name, or the array indices (or visits) of a UK Biobank field.
    from_ukb : bool
        Whether the field's scale applies.
    """

    columns: tuple[str, ...]
    from_ukb: bool


def read_fields(path: Path | None = None) -> dict[str, Field]:
    """Read the shipped field map with the user's changes.

    Parameters
    ----------
    path : Path, optional
        A YAML file like ``fields.yaml``. Entries and keys that it leaves out
        keep their shipped value.

    Raises
    ------
    UsageError
        If the file is not such a map.
    """
    merged = _load(resources.files("analysis").joinpath("fields.yaml").read_text("utf-8"), "fields.yaml")
    if path is not None:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(path.name, f"not readable ({error})", "a YAML field map", "Check --fields.") from None
        for name, entry in _load(text, path.name).items():
            merged[name] = {**merged.get(name, {}), **entry}
    return {name: _field(name, entry) for name, entry in merged.items()}


def find_columns(header: Iterable[str], fields: Mapping[str, Field], where: str) -> dict[str, Source]:
    """Match a table's header with the field map.

    A canonical name has priority over other names, and those over a UK Biobank field.
    ``participant.`` before a name, as the Research Analysis Platform writes it, is not part of it.

        Parameters
        ----------
        header : iterable of str
        fields : mapping of canonical name to Field
        where : str
            File name, for messages.

        Returns
        -------
        dict of canonical name to Source
            Only the columns that were found.

        Raises
        ------
        DataError
            If a column name is in the header twice, or two columns have the same
            meaning.
    """
    originals = list(header)
    names = [name.removeprefix(_RAP_ENTITY) for name in originals]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(where, f"column {twice[0]} is in the header twice", "each name once", "Remove one of them.")
    ukb: dict[int, list[tuple[int | None, int, str]]] = {}
    for name in names:
        if match := _UKB_NAME.match(name):
            number, instance, array = (next((g for g in group if g), None) for group in _groups(match))
            ukb.setdefault(int(number or 0), []).append((int(instance) if instance else None, int(array or 0), name))
    found: dict[str, Source] = {}
    for canonical, known in fields.items():
        if canonical in names:
            found[canonical] = Source((canonical,), from_ukb=False)
            continue
        others = [name for name in known.names if name in names]
        if len(others) > 1:
            raise DataError(
                where, f"{' and '.join(others)} both mean {canonical}", "one of them", f"Rename one to {canonical}."
            )
        if others:
            found[canonical] = Source((others[0],), from_ukb=False)
        elif known.ukb in ukb:
            columns = _visit(ukb[known.ukb], known.instance)
            if columns:
                found[canonical] = Source(columns, from_ukb=True)
    named = dict(zip(names, originals, strict=True))
    return {
        canonical: Source(tuple(named[name] for name in source.columns), source.from_ukb)
        for canonical, source in found.items()
    }


def _groups(match: re.Match[str]) -> tuple[tuple[str | None, ...], ...]:
    g = match.groupdict()
    return (g["p"], g["d"], g["f"]), (g["pi"], g["di"], g["fi"]), (g["pa"], g["da"], g["fa"])


def _visit(columns: list[tuple[int | None, int, str]], instance: int | str) -> tuple[str, ...]:
    """Column names of the wanted visit, by array index. Fields without visits have instance 0 or none."""
    if isinstance(instance, int):
        columns = [entry for entry in columns if entry[0] == instance]
    elif instance == "none":
        columns = [entry for entry in columns if entry[0] in (None, 0)]
    return tuple(name for _, _, name in sorted(columns, key=lambda entry: (entry[0] or 0, entry[1])))


def _load(text: str, where: str) -> dict[str, dict[str, Any]]:
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(where, f"not YAML ({error})", "a field map", "Compare with analysis/fields.yaml.") from None
    if not isinstance(loaded, dict) or not all(isinstance(entry, dict) for entry in loaded.values()):
        raise UsageError(where, "not a map of columns", "column: {key: value}", "Compare with analysis/fields.yaml.")
    for name, entry in loaded.items():
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            raise UsageError(
                f"{where}, {name}", f"key {unknown[0]}", f"one of {', '.join(sorted(_KEYS))}", "Correct the key."
            )
    return {str(name): entry for name, entry in loaded.items()}


def _field(name: str, entry: Mapping[str, Any]) -> Field:
    try:
        codes = {str(code): str(meaning) for code, meaning in entry.get("codes", {}).items()}
        bounds = entry.get("range")
        return Field(
            name=name,
            names=tuple(str(other) for other in entry.get("names", ())),
            ukb=int(entry["ukb"]) if entry.get("ukb") is not None else None,
            instance=entry.get("instance", 2),
            array=str(entry.get("array", "first")),
            scale=float(entry.get("scale", 1.0)),
            codes=codes,
            range=(float(bounds[0]), float(bounds[1])) if bounds is not None else None,
            looks_like={str(u): (float(r[0]), float(r[1])) for u, r in entry.get("looks_like", {}).items()},
            unit=str(entry.get("unit", "")),
            kind=str(entry.get("kind", "id" if name == "eid" else "code" if codes else "number")),
        )
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise UsageError(f"field map, {name}", str(error), "keys as in analysis/fields.yaml", "Correct it.") from None
