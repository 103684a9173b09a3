"""Read a column of the user's own choice as a number or as a factor, never by guessing.

A column of a known field has that field's codes. True and false, yes and no are 1 and 0. Other text is a
factor. A measurement with many values or decimals is a number. What could be either (few whole numbers, or negative
codes among others) is refused, with the option that answers the question: coded as a number, smoking -3, 0, 1, 2
gives a wrong odds ratio without any sign of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.column_names import FieldColumn, field_columns, plain_name
from analysis.errors import OptionError
from analysis.fields import Field, Source
from analysis.problems import Problems
from analysis.values import NO_ANSWER, as_text, binary, decoded, measurement, numbers, quoted

__all__ = ["ReadAs", "finite", "near_names", "own_column", "told_types"]

# With more distinct whole numbers than this, a column is a measurement.
_MOST_CODES = 12
# Codes of UK Biobank for an answer that was not given, for "less than one", "ongoing" and the like: codings 100291,
# 100298, 100373, 170, 513, 909 and others, of the touchscreen, the interview and the web questionnaires.
_NEGATIVE_CODES = (-1.0, -3.0, -7.0, -10.0, -11.0, -13.0, -21.0, -23.0, -121.0, -313.0, -521.0, -818.0, -1001.0)
# Other codes for missing are few: whole negative numbers such as -9, or these, far above all other values.
_MOST_MISSING_CODES = 3
_HIGH_CODES = (99.0, 999.0, 9999.0, 99999.0, 888.0, 8888.0, 777.0, 7777.0)
_FAR_ABOVE = 3.0
_MOST_LEVELS = 40


@dataclass(frozen=True)
class ReadAs:
    """How to read a column of the user's own.

    Attributes
    ----------
    kind : {"factor", "number"}
    missing : tuple of str
        Codes that mean missing.
    """

    kind: str
    missing: tuple[str, ...] = ()


def own_column(
    name: str,
    raw: pd.DataFrame,
    fields: Mapping[str, Field],
    read_as: Mapping[str, ReadAs],
    problems: Problems,
) -> tuple[pd.Series, str] | None:
    """Find and decode a column that is not in the field map by its canonical name.

    Parameters
    ----------
    name : str
        As the user wrote it: a column, or any form of a UK Biobank field.
    raw : DataFrame
    fields : mapping of str to Field
    read_as : mapping of str to ReadAs
    problems : Problems

    Returns
    -------
    (Series, str) or None
        Values (float64 or string) and the column's name in the file; None if
        the table has no such column.
    """
    column, known = _find(name, raw, fields)
    if column is None:
        return None
    if name in read_as:
        return _as_told(raw[column], name, read_as[name], problems), column
    if known is not None:
        source = Source((column,), from_ukb=True)
        reader = measurement if known.kind == "number" else decoded
        return reader(raw, known, source, problems).rename(name), column
    values = raw[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        found = values.astype("float64")
    else:
        text = as_text(values)
        text = text.mask(text.str.lower().isin(NO_ANSWER))
        found = pd.to_numeric(text, errors="coerce").astype("float64")
        words = text.notna() & found.isna()
        if words.any():
            if (answers := binary(text)) is not None:
                return answers.rename(name), column
            if text.nunique() > _MOST_LEVELS:
                problems.refuse(
                    name,
                    f"{text.nunique()} different texts",
                    f"Give a column with at most {_MOST_LEVELS} categories, or numbers.",
                )
            elif found.notna().any():
                _refuse_mixture(text[words], name, problems)
            return text.rename(name), column
    found = finite(found, name, problems)
    _refuse_codes(found, name, problems)
    return found.rename(name), column


def told_types(
    told: Mapping[str, Sequence[str]], asked: Sequence[str], fields: Mapping[str, Field]
) -> dict[str, ReadAs]:
    """What ``--read-as`` says of the columns that the other options name.

    Raises
    ------
    OptionError
        If no option names such a column, or the field map says how to read it: the answer would have no effect.
    """
    for name, words in told.items():
        if name not in asked:
            near = difflib.get_close_matches(name, asked, n=1, cutoff=0.6)
            raise OptionError(
                "read_as", f"{name}, which no other option names", "a column of --adjust, --exposures and the like",
                f"Did you mean {near[0]}?" if near else "Correct its name, or leave it out.",
            )  # fmt: skip
        kind = fields[name].kind if name in fields else None
        missing = {code for code, meaning in fields[name].codes.items() if meaning == "missing"} if kind else set()
        if kind is not None and (
            kind != {"factor": "code", "number": "number"}[words[0]] or not {*words[1:]} <= missing
        ):
            raise OptionError(
                "read_as", f"{name}={','.join(words)}", "a column that the field map does not know",
                f"Give {name} another name in the table, or change its entry with --fields.",
            )  # fmt: skip
    return {name: ReadAs(words[0], tuple(words[1:])) for name, words in told.items()}


def near_names(name: str, header: Sequence[str], fields: Mapping[str, Field]) -> list[str]:
    """Names in a table that the user may have meant: the same field at another visit, or a similar spelling."""
    wanted = field_columns([name], {})
    number = wanted[0].number if wanted else fields[name].ukb if name in fields else None
    same = [one.column for one in field_columns(header, {}) if one.number == number]
    plain = {plain_name(column).lower(): column for column in header}
    similar = [plain[near] for near in difflib.get_close_matches(name.lower(), plain, n=3, cutoff=0.6)]
    return list(dict.fromkeys([*same, *similar]))[:4]


def _find(name: str, raw: pd.DataFrame, fields: Mapping[str, Field]) -> tuple[str | None, Field | None]:
    plain = {plain_name(column): column for column in raw.columns}
    wanted: list[FieldColumn] = field_columns([name], {})
    known = None
    if wanted:
        known = next((entry for entry in fields.values() if entry.ukb == wanted[0].number), None)
        if name not in plain:
            place = (wanted[0].number, wanted[0].instance or 0, wanted[0].array)
            for one in field_columns(raw.columns, {}):
                if (one.number, one.instance or 0, one.array) == place:
                    return one.column, known
    return plain.get(name), known


def _as_told(column: pd.Series, name: str, told: ReadAs, problems: Problems) -> pd.Series:
    text = as_text(column)
    codes = [word.removesuffix(".0") for word in told.missing]
    text = text.mask(text.isin(codes) | text.str.lower().isin(NO_ANSWER))
    if told.kind == "factor":
        if text.nunique() > _MOST_LEVELS:
            problems.refuse(name, f"{text.nunique()} categories", f"Give at most {_MOST_LEVELS}, or read it as number.")
        return text.rename(name)
    values = finite(numbers(text, name, problems), name, problems).rename(name)
    values = values.mask(values.isin(pd.to_numeric(pd.Series(codes, dtype="string"), errors="coerce").dropna()))
    if codes:
        for code in _missing_codes(sorted(values.dropna().unique())):
            problems.note(name, f"{code:g}: read as a number", values == code)
    return values


def finite(values: pd.Series, name: str, problems: Problems) -> pd.Series:
    """Set infinite values to missing, and note them."""
    endless = values.isin([np.inf, -np.inf])
    problems.note(name, "infinite: set to missing", endless)
    return values.mask(endless)


def _refuse_mixture(words: pd.Series, name: str, problems: Problems) -> None:
    """Refuse hours such as 1, 2 and "Less than an hour": as categories they lose their order without any sign of it."""
    known = list(dict.fromkeys(words))
    missing = "".join(f",{word}" for word in known if "," not in word) if len(known) <= _MOST_CODES else ""
    problems.refuse(
        name,
        f"numbers and text ({quoted(words)})",
        f"Say which: --read-as {name}=factor or, quoted, --read-as '{name}=number{missing}' "
        "(texts after the comma mean missing).",
    )


def _refuse_codes(values: pd.Series, name: str, problems: Problems) -> None:
    distinct = sorted(values.dropna().unique())
    few = len(distinct) <= _MOST_CODES and all(float(value).is_integer() for value in distinct)
    missing = _missing_codes(distinct)
    if set(distinct) <= {0.0, 1.0} or not (few or missing):
        return
    more = [f"{value:g}" for value in missing if value not in distinct[:_MOST_CODES]]
    shown = ", ".join(f"{value:g}" for value in distinct[:_MOST_CODES]) + ("" if few else ", ".join([", ...", *more]))
    codes = "".join(f",{value:g}" for value in missing)
    problems.refuse(
        name,
        f"the values {shown} may be codes or numbers",
        f"Say which: --read-as {name}=factor{codes} or --read-as {name}=number{codes} "
        "(codes after the comma mean missing).",
    )


def _missing_codes(distinct: Sequence[float]) -> list[float]:
    """Values that are probably codes for missing, of the ordered values of a column."""
    negative = [value for value in distinct if value < 0]
    whole = all(float(value).is_integer() for value in negative)
    if not whole or (len(negative) > _MOST_MISSING_CODES and not set(negative) <= set(_NEGATIVE_CODES)):
        negative = []
    high = [value for value in distinct if value in _HIGH_CODES]
    others = [value for value in distinct if value not in high]
    far = bool(others) and bool(high) and high[0] > _FAR_ABOVE * max(others[-1], 1.0)
    return [*negative, *(high if far else [])]
