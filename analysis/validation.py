"""Convert a table as it is in the file to canonical, checked columns.

There are two kinds of problems. A problem that makes a whole column
untrustworthy (text in numbers, an unknown code, another unit, the same
participant twice) is an error; all such problems of a table are reported at
once. A single impossible value is set to missing and noted, so that it is
counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import DataError
from analysis.fields import Field, Source, find_columns

__all__ = ["Checked", "Note", "check_participants", "check_phenotypes"]

_ROWS_SHOWN = 5
# With a larger share of impossible values than this, the column is not what its name says.
_IMPOSSIBLE_SHARE = 0.05
# A share of values in another unit that is too large for a few typing errors.
_OTHER_UNIT_SHARE = 0.001
# Weight and BMI may come from different devices at the same visit.
_BMI_DIFFERENCE = 0.2


@dataclass(frozen=True)
class Note:
    """A change in the data that is shown with the results.

    Attributes
    ----------
    where : str
        Table and column.
    rule : str
        What was changed, and why.
    count : int
        Number of changed rows.
    first_rows : tuple of int
        First changed data rows, counted from 1 below the header.
    """

    where: str
    rule: str
    count: int
    first_rows: tuple[int, ...]


@dataclass(frozen=True)
class Checked:
    """A canonical table with notes on its changes.

    Attributes
    ----------
    table : DataFrame
        ``eid`` (text), measurements (float64), codes (text), dates.
    notes : tuple of Note
    sources : dict of str to tuple of str
        Canonical column to its column or columns in the file.
    """

    table: pd.DataFrame
    notes: tuple[Note, ...]
    sources: dict[str, tuple[str, ...]]


class _Problems:
    """Collects all problems of one table, to report them at once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: list[str] = []
        self.remedies: list[str] = []
        self.notes: list[Note] = []

    def add(self, column: str, rule: str, wrong: pd.Series, remedy: str) -> None:
        rows = _rows(wrong)
        self.lines.append(
            f"column {column}: {rule} in {int(wrong.sum())} of {len(wrong)} rows (first: {', '.join(map(str, rows))})"
        )
        self.remedies.append(remedy)

    def note(self, column: str, rule: str, wrong: pd.Series) -> None:
        if wrong.any():
            self.notes.append(Note(f"{self.where}, {column}", rule, int(wrong.sum()), _rows(wrong)))

    def raise_if_any(self, expected: str) -> None:
        if self.lines:
            raise DataError(self.where, "; ".join(self.lines), expected, " ".join(dict.fromkeys(self.remedies)))


def check_participants(raw: pd.DataFrame, fields: Mapping[str, Field], where: str, also: Sequence[str] = ()) -> Checked:
    """Make canonical participants: find, decode, convert and check the columns.

    Parameters
    ----------
    raw : DataFrame
        Table as read from the file.
    fields : mapping of str to Field
    where : str
        File name, for messages.
    also : sequence of str
        Further numeric columns to keep (the user's own covariates).

    Returns
    -------
    Checked
        With every column of the field map. Columns that the file lacks are all missing.

    Raises
    ------
    DataError
        If there are problems. The message names column, rule, number and first rows of each.
    """
    found = find_columns(raw.columns, fields, where)
    for required in ("eid", "sex", "age"):
        if required not in found:
            known = fields[required]
            names = [required, *known.names] + ([f"p{known.ukb}_i{known.instance}"] if known.ukb else [])
            raise DataError(
                where,
                f"no column for {required}",
                f"one named {', '.join(names)}",
                "Give its name in a field map (--fields).",
            )
    problems = _Problems(where)
    columns: dict[str, pd.Series] = {}
    for name, known in fields.items():
        source = found.get(name)
        if source is None:
            empty = "datetime64[s]" if known.kind == "date" else "string" if known.kind != "number" else "float64"
            columns[name] = pd.Series(pd.NA if empty == "string" else np.nan, index=raw.index, dtype=empty)
        elif known.kind == "number":
            columns[name] = _measurement(raw, known, source, problems)
        elif known.kind == "date":
            columns[name] = _date(raw, source, problems)
        else:
            columns[name] = _text(raw, known, source, problems)
    for name in also:
        if name not in columns:
            if name not in raw.columns:
                raise DataError(where, f"no column {name}", "every covariate that is adjusted for", "Check --adjust.")
            columns[name] = _numbers(raw[name], name, problems)
    table = pd.DataFrame(columns)
    _check_identifiers(table["eid"], problems)
    _check_limbs(table, problems)
    _check_bmi(table, problems)
    problems.raise_if_any("the units and codes of analysis/fields.yaml")
    sources = {name: source.columns for name, source in found.items()}
    return Checked(table, tuple(problems.notes), sources)


def check_phenotypes(raw: pd.DataFrame, where: str) -> Checked:
    """Make canonical phenotypes: ``eid`` and measurements, none of them negative.

    Volumes (``*_cm3``), ratios and fractions that are 0, negative or infinite are
    set to missing and noted. Zero volumes of single structures are kept.

        Raises
        ------
        DataError
            If there is no ``eid`` or no phenotype, numbers contain text, or a
            participant appears twice.
    """
    if "eid" not in raw.columns:
        raise DataError(where, "no column eid", "one", "Make the table with `python -m analysis collect`.")
    problems = _Problems(where)
    columns: dict[str, pd.Series] = {"eid": raw["eid"].astype("string")}
    for name in raw.columns:
        if name == "eid":
            continue
        if name.endswith(("_cm3", "_ratio", "_ratio_left", "_ratio_right", "_asymmetry", "_fraction", "_per_cm2")):
            values = _numbers(raw[name], name, problems)
            must_be_positive = name.startswith("tmv") or "ratio" in name or name.endswith("_per_cm2")
            wrong = (values <= 0 if must_be_positive else values < 0) | np.isinf(values)
            rule = (
                "not above 0, or infinite: set to missing"
                if must_be_positive
                else "negative, or infinite: set to missing"
            )
            problems.note(name, rule, wrong)
            columns[name] = values.mask(wrong)
        else:
            columns[name] = raw[name]
    table = pd.DataFrame(columns)
    _check_identifiers(table["eid"], problems)
    if not {"tmv_cm3", "pa_ratio"} & set(table.columns):
        raise DataError(where, "neither tmv_cm3 nor pa_ratio", "at least one phenotype", "Name the columns like this.")
    for name in ("tmv_cm3", "pa_ratio", "lr_asymmetry"):
        if name not in table.columns:
            table[name] = np.nan
    tmv = table["tmv_cm3"]
    if tmv.notna().any() and tmv.median() < 100:
        problems.add("tmv_cm3", "values of litres", tmv < 100, "Multiply by 1000 to give cm3.")
    if tmv.median() > 100_000:
        problems.add("tmv_cm3", "values of mm3", tmv > 100_000, "Divide by 1000 to give cm3.")
    problems.raise_if_any("one row of numbers per participant, volumes in cm3")
    return Checked(table, tuple(problems.notes), {name: (name,) for name in table.columns})


def _measurement(raw: pd.DataFrame, known: Field, source: Source, problems: _Problems) -> pd.Series:
    parts = pd.DataFrame({column: _numbers(raw[column], column, problems) for column in source.columns})
    if len(parts.columns) == 1:
        values = parts.iloc[:, 0]
    elif known.array == "first":
        values = parts.bfill(axis=1).iloc[:, 0]
    else:
        values = parts.max(axis=1) if known.array == "max" else parts.mean(axis=1)
    if source.from_ukb:
        values = values * known.scale
    values = values.rename(known.name)
    if known.range is None:
        return values
    low, high = known.range
    outside = values.notna() & ~values.between(low, high)
    given = int(values.notna().sum())
    for unit, (unit_low, unit_high) in known.looks_like.items():
        there = outside & values.between(unit_low, unit_high)
        if there.sum() > max(1, _OTHER_UNIT_SHARE * given):
            remedy = f"Convert {known.name} to {known.unit} in every row, or give its scale in --fields."
            problems.add("+".join(source.columns), f"values of {unit} where {known.unit} is expected", there, remedy)
            return values
    if outside.sum() > max(1, _IMPOSSIBLE_SHARE * given):
        rule = f"values outside {low:g} to {high:g} {known.unit}"
        problems.add("+".join(source.columns), rule, outside, f"Check the unit and missing codes of {known.name}.")
        return values
    problems.note(known.name, f"outside {low:g} to {high:g} {known.unit}: set to missing", outside)
    return values.mask(outside)


def _numbers(column: pd.Series, name: str, problems: _Problems) -> pd.Series:
    """Convert to float64. Every value that is not a number is a problem."""
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        text = column.notna() & numbers.isna()
        if text.any():
            problems.add(
                name, "text where a number is expected", text, "Leave a missing value empty; use a decimal point."
            )
        return numbers.astype("float64")
    return column.astype("float64")


def _text(raw: pd.DataFrame, known: Field, source: Source, problems: _Problems) -> pd.Series:
    values = raw[list(source.columns)].bfill(axis=1).iloc[:, 0] if len(source.columns) > 1 else raw[source.columns[0]]
    # pandas stores the code 1 as 1.0 in a column with missing values.
    values = values.astype("string").str.strip().str.removesuffix(".0").rename(known.name)
    if known.kind == "id":
        return values
    in_any_case = {code.casefold(): meaning for code, meaning in known.codes.items()}
    decoded = values.map(dict(known.codes)).astype("string")
    decoded = decoded.fillna(values.str.casefold().map(in_any_case).astype("string"))
    unknown = values.notna() & (values != "") & decoded.isna()
    if unknown.any():
        codes = ", ".join(f"{code}" for code in known.codes)
        problems.add("+".join(source.columns), "an unknown code", unknown, f"Codes known for {known.name}: {codes}.")
    return decoded.mask(decoded == "missing")


def _date(raw: pd.DataFrame, source: Source, problems: _Problems) -> pd.Series:
    values = raw[list(source.columns)].bfill(axis=1).iloc[:, 0] if len(source.columns) > 1 else raw[source.columns[0]]
    dates = pd.to_datetime(values, errors="coerce", format="%Y-%m-%d")
    wrong = values.notna() & dates.isna()
    if wrong.any():
        problems.add(source.columns[0], "not a date", wrong, "Write dates as YYYY-MM-DD.")
    return dates


def _check_identifiers(eid: pd.Series, problems: _Problems) -> None:
    empty = eid.isna() | (eid == "")
    if empty.any():
        problems.add("eid", "no identifier", empty, "Give every row its eid.")
    twice = eid.duplicated(keep=False) & ~empty
    if twice.any():
        problems.add("eid", "a participant more than once", twice, "Keep one row per participant.")


def _check_limbs(table: pd.DataFrame, problems: _Problems) -> None:
    """Check that legs have more lean mass than arms. If not, the field numbers are mixed up."""
    legs = table["leg_lean_left_kg"] + table["leg_lean_right_kg"]
    arms = table["arm_lean_left_kg"] + table["arm_lean_right_kg"]
    wrong = legs < arms
    if wrong.sum() > 0.5 * (legs.notna() & arms.notna()).sum():
        problems.add("leg_lean", "legs leaner than arms", wrong, "Check the DXA field numbers in --fields.")


def _check_bmi(table: pd.DataFrame, problems: _Problems) -> None:
    """Check that weight over squared height equals the BMI. This detects pounds, stones and feet."""
    computed = table["weight_kg"] / (table["height_cm"] / 100.0) ** 2
    known = computed.notna() & table["bmi"].notna()
    wrong = known & ((computed / table["bmi"] - 1).abs() > _BMI_DIFFERENCE)
    if wrong.sum() > max(1, _IMPOSSIBLE_SHARE * known.sum()):
        rule = "weight over squared height is not the BMI"
        problems.add("weight_kg, height_cm, bmi", rule, wrong, "Check their units: kg, cm and kg/m2.")
    else:
        problems.note("bmi", "not weight over squared height: kept as given", wrong)


def _rows(wrong: pd.Series) -> tuple[int, ...]:
    return tuple(int(row) + 1 for row in np.flatnonzero(wrong.to_numpy())[:_ROWS_SHOWN])
