"""Decode the values of one column: measurements, codes and labels, dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.fields import Field, Source
from analysis.problems import Problems

__all__ = ["as_text", "binary", "dates", "decoded", "is_yes", "measurement", "not_binary", "numbers", "quoted"]

# With a larger share of impossible values than this, the column is not what its name says.
_IMPOSSIBLE_SHARE = 0.05
# A share of values in another unit that is too large for a few typing errors.
_OTHER_UNIT_SHARE = 0.001
_CODES_QUOTED, _LONGEST_QUOTED = 4, 30
_TIME_OF_DAY = r"[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?$"
# What UK Biobank's codings call an answer that was not given.
NO_ANSWER = ("prefer not to answer", "do not know", "not known", "none of the above or prefer not to answer")
# What a column of 0 and 1 holds, in any case. T, F, Y and N are not among them: T and F may be anything.
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")
# What software writes for a missing value. Python's "None" is not among them: of a factor it may be a level.
_MISSING = (
    "", ".", "na", "n/a", "nan", "nat", "null", "missing", "<na>", "#n/a", "#n/a n/a", "#na", "-nan",
    "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
)  # fmt: skip


def measurement(raw: pd.DataFrame, known: Field, source: Source, problems: Problems) -> pd.Series:
    """Convert a measured column to our unit. Values outside its range are set to missing, or refused if many."""
    parts = pd.DataFrame({column: numbers(raw[column], column, problems) for column in source.columns})
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
    if not outside.any():
        return values
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


def numbers(column: pd.Series, name: str, problems: Problems) -> pd.Series:
    """Convert to float64. Every value that is not a number is a problem."""
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        found = pd.to_numeric(column, errors="coerce")
        text = column.notna() & found.isna()
        if text.any():
            words = as_text(column).str.lower()
            text &= words.notna() & ~words.isin((*NO_ANSWER, "none")).fillna(False)
        if text.any():
            examples = quoted(column[text])
            problems.add(
                name,
                f"text where a number is expected ({examples})",
                text,
                "Leave a missing value empty; use a decimal point.",
            )
        return found.astype("float64")
    return column.astype("float64")


def as_text(column: pd.Series) -> pd.Series:
    """Text of a column, without words for missing. pandas stores the code 1 as 1.0 in a column with missing values."""
    values = column.astype("string").str.strip().str.removesuffix(".0")
    return values.mask(values.str.lower().isin(_MISSING).fillna(False))


def binary(values: pd.Series) -> pd.Series | None:
    """1, 0 or missing of a column of 0 and 1, true and false, yes and no, in any case; None if it has anything else."""
    if pd.api.types.is_numeric_dtype(values):  # bool too; text of half a million people takes seconds
        return values.astype("float64") if values.dropna().isin([0, 1]).all() else None
    text = as_text(values).str.lower()
    yes, no = text.isin(_YES).fillna(False), text.isin(_NO).fillna(False)
    if not (yes | no | text.isna()).all():
        return None
    return yes.astype("float64").where(text.notna())


def not_binary(values: pd.Series) -> pd.Series:
    """The values because of which `binary` gives None."""
    if pd.api.types.is_numeric_dtype(values):
        return values[values.notna() & ~values.isin([0, 1])]
    text = as_text(values).str.lower()
    return values[text.notna() & ~text.isin((*_YES, *_NO)).fillna(False)]


def is_yes(values: pd.Series) -> pd.Series:
    """Whether each value is 1, true or yes, in any case; a missing one is not."""
    return as_text(values).str.lower().isin(_YES).fillna(False).astype(bool)


def decoded(raw: pd.DataFrame, known: Field, source: Source, problems: Problems) -> pd.Series:
    """Convert codes or labels to their meaning. An unknown one is a problem."""
    values = as_text(_first(raw, source.columns)).rename(known.name)
    if known.kind == "id":
        return values
    return meanings(values, known.codes, "+".join(source.columns), known.name, problems)


def meanings(values: pd.Series, codes: Mapping[str, str], column: str, name: str, problems: Problems) -> pd.Series:
    """Map text to its meaning, whatever its case."""
    table = dict.fromkeys((*NO_ANSWER, "none"), "missing") | {code.lower(): meaning for code, meaning in codes.items()}
    distinct = values.dropna().unique()
    found = values.map({value: table.get(value.lower(), pd.NA) for value in distinct}).astype("string")
    unknown = values.notna() & found.isna()
    if unknown.any():
        known = ", ".join(codes)
        problems.add(column, f"an unknown code ({quoted(values[unknown])})", unknown, f"Codes of {name}: {known}.")
    return found.mask(found == "missing")


def dates(raw: pd.DataFrame, source: Source, problems: Problems) -> pd.Series:
    """Convert to dates: 2015-05-14, with or without a time, which is ignored, and 14may2015 as Stata writes it."""
    values = _first(raw, source.columns)
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None).dt.normalize().astype("datetime64[s]")
    text = values.astype("string").str.strip()
    text = text.str.replace(_TIME_OF_DAY, "", regex=True)
    text = text.mask(text.str.lower().isin((*_MISSING, "none")).fillna(False))
    found = pd.to_datetime(text, errors="coerce", format="%Y-%m-%d")
    if (other := text.notna() & found.isna()).any():
        found = found.fillna(pd.to_datetime(text.where(other), errors="coerce", format="%d%b%Y"))
    wrong = text.notna() & found.isna()
    if wrong.any():
        problems.add(source.columns[0], "not a date", wrong, "Write dates as YYYY-MM-DD.")
    return found.astype("datetime64[s]")


def _first(raw: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """The first value that is there, over array indices or visits."""
    return raw[columns[0]] if len(columns) == 1 else raw[[*columns]].bfill(axis=1).iloc[:, 0]


def quoted(values: pd.Series) -> str:
    """The most frequent of some values, in quotes. They are codes or words, never an identifier."""
    counts = values.astype("string").value_counts()
    shown = [f"'{str(value)[:_LONGEST_QUOTED]}'" for value in counts.index[:_CODES_QUOTED]]
    return ", ".join(shown) + (f" and {len(counts) - len(shown)} more" if len(counts) > len(shown) else "")
