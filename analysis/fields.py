"""Recognise the columns of a participants table: canonical names, other names, UK Biobank fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from analysis.column_names import FieldColumn, comparable, field_columns, plain_name
from analysis.errors import DataError, UsageError

__all__ = ["Field", "Source", "at_instance", "columns_that_matter", "find_columns", "read_fields"]

_KEYS = {
    "names", "titles", "ukb", "instance", "otherwise", "array", "scale", "codes", "range", "looks_like", "unit", "kind"
}  # fmt: skip
_KINDS = ("id", "code", "date", "number")


@dataclass(frozen=True)
class Field:
    """One canonical column, and rules to recognise, decode and check it.

    Attributes
    ----------
    name : str
        Canonical name.
    names : tuple of str
        Other names of the column.
    titles : tuple of str
        Titles of the field in UK Biobank's dictionary.
    ukb : int or None
        UK Biobank field number.
    instance : int, "none" or "any"
        Visit to use; "any" takes the first that has a value.
    otherwise : int or None
        Visit to use if the table has no column of that visit.
    array : {"first", "max", "mean"}
        How to combine several array indices into one value.
    scale : float
        Factor from UK Biobank's unit to ours. It applies to UK Biobank columns only.
    codes : mapping of str to str
        Stored code or label to its meaning; empty for measurements.
    range : (float, float) or None
        Lowest and highest plausible value.
    looks_like : mapping of str to (float, float)
        Other units, with the range of values in each.
    unit : str
    kind : {"id", "code", "date", "number"}
    """

    name: str
    names: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    ukb: int | None = None
    instance: int | str = 2
    otherwise: int | None = None
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
        if self.kind not in _KINDS:
            raise UsageError(where, f"kind: {self.kind}", f"one of {', '.join(_KINDS)}", "Correct the field map.")

    @property
    def levels(self) -> tuple[str, ...]:
        """Meanings of a coded column in the order of the field map; the first is the reference of a model."""
        return tuple(meaning for meaning in dict.fromkeys(self.codes.values()) if meaning != "missing")


@dataclass(frozen=True)
class Source:
    """Source of a canonical column in one table.

    Attributes
    ----------
    columns : tuple of str
        One name, or the array indices (or visits) of a UK Biobank field.
    from_ukb : bool
        Whether the field's scale applies.
    other_visit : int, "not named" or None
        The visit, if it is not the one that was asked for; or that the column's name has none.
    """

    columns: tuple[str, ...]
    from_ukb: bool
    other_visit: int | str | None = None


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


def at_instance(fields: Mapping[str, Field], instance: int) -> dict[str, Field]:
    """The field map for another visit: 2 is the first imaging visit, 3 the repeat."""
    return {
        name: replace(known, instance=instance) if isinstance(known.instance, int) else known
        for name, known in fields.items()
    }


def find_columns(header: Iterable[str], fields: Mapping[str, Field], where: str) -> dict[str, Source]:
    """Match a table's header with the field map.

    A canonical name has priority over other names, those over a UK Biobank field, and that over names in another case.

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
    names = list(header)
    plain: dict[str, str] = {}
    for name in names:
        if plain.setdefault(plain_name(name), name) != name or names.count(name) > 1:
            raise DataError(where, f"column {name} is in the header twice", "each name once", "Remove one of them.")
    spoken = {comparable(name): name for name in names}
    ukb: dict[int, list[FieldColumn]] = {}
    for column in field_columns(names, _titles(fields)):
        ukb.setdefault(column.number, []).append(column)
    found: dict[str, Source] = {}
    for canonical, known in fields.items():
        if canonical in plain:
            found[canonical] = Source((plain[canonical],), from_ukb=False)
            continue
        others = [plain[name] for name in known.names if name in plain]
        if known.ukb is None:
            others += [spoken[title] for title in map(comparable, known.titles) if title in spoken]
            others = list(dict.fromkeys(others))  # participant_id is a name, and a title as a converter writes it
        if len(others) > 1:
            raise DataError(
                where, f"{' and '.join(others)} both mean {canonical}", "one of them", f"Rename one to {canonical}."
            )
        if others:
            found[canonical] = Source((others[0],), from_ukb=False)
        elif known.ukb in ukb:
            columns = _visit(ukb[known.ukb], known.instance)
            other: int | str | None = None
            if not columns and known.otherwise is not None:
                columns, other = _visit(ukb[known.ukb], known.otherwise), known.otherwise
            if not columns and all(one.instance is None for one in ukb[known.ukb]):
                columns, other = _visit(ukb[known.ukb], "none"), "not named"
            if columns:
                _check_once(columns, where, canonical)
                found[canonical] = Source(tuple(column.column for column in columns), True, other)
        elif (written := _in_any_case(canonical, known, names)) is not None:
            found[canonical] = Source((written,), from_ukb=False)
    return found


def columns_that_matter(header: Sequence[str], fields: Mapping[str, Field], also: Iterable[str]) -> set[str]:
    """Names of a header that the field map can mean, at any visit, and those of the user's own columns."""
    own = {one.number for one in field_columns(also, {})}
    numbers = {known.ukb for known in fields.values()} | own
    words = {*fields, *(name for known in fields.values() for name in known.names)}
    titles = {comparable(title) for known in fields.values() for title in known.titles}
    titles |= set(map(comparable, words))  # in any case
    words |= {*also}
    kept = {one.column for one in field_columns(header, _titles(fields)) if one.number in numbers}
    return kept | {name for name in header if plain_name(name) in words or comparable(plain_name(name)) in titles}


def _in_any_case(canonical: str, known: Field, header: Sequence[str]) -> str | None:
    """The only column that is named so but for upper case (SAS) or spaces; None if there is none, or several."""
    wanted = {comparable(name) for name in (canonical, *known.names)}
    written = [name for name in header if comparable(plain_name(name)) in wanted]
    return written[0] if len(written) == 1 else None


def _titles(fields: Mapping[str, Field]) -> dict[str, int]:
    return {comparable(t): known.ukb for known in fields.values() for t in known.titles if known.ukb is not None}


def _visit(columns: Sequence[FieldColumn], instance: int | str) -> list[FieldColumn]:
    """Columns of the wanted visit, by array index. Fields without visits have instance 0 or none."""
    chosen = list(columns)
    if isinstance(instance, int):
        chosen = [one for one in columns if one.instance == instance]
    elif instance == "none":
        chosen = [one for one in columns if one.instance in (None, 0)]
    return sorted(chosen, key=lambda one: (one.instance or 0, one.array))


def _check_once(columns: Sequence[FieldColumn], where: str, canonical: str) -> None:
    places = [(one.instance, one.array) for one in columns]
    for place, one in zip(places, columns, strict=True):
        if places.count(place) > 1:
            twice = " and ".join(other.column for other in columns if (other.instance, other.array) == place)
            raise DataError(where, f"{twice} both mean {canonical}", "one of them", f"Remove {one.column}.")


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
        otherwise = entry.get("otherwise")
        return Field(
            name=name,
            names=tuple(str(other) for other in entry.get("names", ())),
            titles=tuple(str(title) for title in entry.get("titles", ())),
            ukb=int(entry["ukb"]) if entry.get("ukb") is not None else None,
            instance=entry.get("instance", 2),
            otherwise=None if otherwise is None else int(otherwise),
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
