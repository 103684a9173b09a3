"""Convert a table as it is in the file to canonical, checked columns.

There are two kinds of problems. A problem that makes a whole column
untrustworthy (text in numbers, an unknown code, another unit, the same
participant twice) is an error; all such problems of a table are reported at
once. A single impossible value is set to missing and noted, so that it is
counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.column_names import plain_name
from analysis.covariate_types import ReadAs, finite, own_column
from analysis.definitions import COMPUTED
from analysis.errors import DataError
from analysis.exclusions import repeats_of
from analysis.fields import Field, find_columns
from analysis.plausible import check_dates, check_measurements, check_phenotype_ranges, check_sexes
from analysis.problems import Note, Problems
from analysis.values import dates, decoded, measurement, numbers

__all__ = ["Checked", "check_participants", "check_phenotypes", "checked_repeats"]

# Weight and BMI may come from different devices at the same visit.
_BMI_DIFFERENCE = 0.2
_IMPOSSIBLE_SHARE = 0.05
# Share by which the sum of both sides may differ from the field of the sum.
_SUM_DIFFERENCE = 0.02


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
    header : tuple of str
        Every column of the file.
    fields : mapping of str to Field
        The field map.
    """

    table: pd.DataFrame
    notes: tuple[Note, ...]
    sources: dict[str, tuple[str, ...]]
    header: tuple[str, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=dict)


def check_participants(
    raw: pd.DataFrame,
    fields: Mapping[str, Field],
    where: str,
    also: Sequence[str] = (),
    read_as: Mapping[str, ReadAs] | None = None,
) -> Checked:
    """Make canonical participants: find, decode, convert and check the columns.

    Parameters
    ----------
    raw : DataFrame
        Table as read from the file.
    fields : mapping of str to Field
    where : str
        File name, for messages.
    also : sequence of str
        Further columns to keep: the user's own exposures, outcomes and
        covariates. Names that the table lacks are left to the caller, because
        the phenotypes may have them.
    read_as : mapping of str to ReadAs, optional
        How to read them.

    Returns
    -------
    Checked
        With every column of the field map. Columns that the file lacks are all missing.

    Raises
    ------
    DataError
        If there are problems. The message names column, rule, number and first rows of each.
    """
    # Taken from the table, because pandas would copy all names anew for every column.
    header = raw.attrs.pop("header", raw.columns)
    found = find_columns(raw.columns, fields, where)
    for required in ("eid", "sex", "age"):
        if required not in found:
            known = fields[required]
            visit = "" if known.instance == "none" else f"_i{known.instance}"
            names = [required, *known.names] + ([f"p{known.ukb}{visit}"] if known.ukb else [])
            raise DataError(
                where,
                f"no column for {required}",
                f"one named {', '.join(names)}",
                "Give its name in a field map (--fields).",
            )
    problems = Problems(where)
    columns: dict[str, pd.Series] = {}
    for name, known in fields.items():
        source = found.get(name)
        if source is None:
            empty = "datetime64[s]" if known.kind == "date" else "string" if known.kind != "number" else "float64"
            columns[name] = pd.Series(pd.NA if empty == "string" else np.nan, index=raw.index, dtype=empty)
            continue
        reader = {"number": measurement, "date": lambda r, _, s, p: dates(r, s, p)}.get(known.kind, decoded)
        columns[name] = reader(raw, known, source, problems)
        if source.other_visit is not None:
            text = f"from visit {source.other_visit}, because the table has none of visit {known.instance}"
            if isinstance(source.other_visit, str):
                text = f"the column {source.columns[0]} names no visit: taken for visit {known.instance}"
            problems.note(name, text, columns[name].notna())
    sources = {name: source.columns for name, source in found.items()}
    for name in dict.fromkeys(also):
        if name in COMPUTED:
            if name in raw.columns:
                rule = "computed from the measurements: this column is not used (give it another name to use it)"
                problems.note(name, rule, raw[name].notna())
        elif name not in columns and (own := own_column(name, raw, fields, read_as or {}, problems)) is not None:
            columns[name], sources[name] = own[0], (own[1],)
    table = pd.DataFrame(columns)
    _check_identifiers(table["eid"], problems)
    _check_limbs(table, problems)
    _check_sums(table, problems)
    _check_bmi(table, problems)
    check_measurements(table, problems)
    check_dates(table, [name for name, known in fields.items() if known.kind == "date"], problems)
    check_sexes(table, problems)
    problems.raise_if_any("the units and codes of analysis/fields.yaml")
    _fill_survivors(table, problems)
    return Checked(table, tuple(problems.notes), sources, tuple(map(plain_name, header)), fields)


def check_phenotypes(
    raw: pd.DataFrame,
    where: str,
    other_visits: int = 0,
    also: Sequence[str] = (),
    read_as: Mapping[str, ReadAs] | None = None,
) -> Checked:
    """Make canonical phenotypes: ``eid`` and measurements, none of them negative.

    Volumes (``*_cm3``), ratios and fractions that are 0, negative or infinite are
    set to missing and noted. Zero volumes of single structures are kept.

    Parameters
    ----------
    raw : DataFrame
        One row per participant.
    where : str
    other_visits : int
        Rows that were left out before, because they are of another visit; noted.
    also : sequence of str
        Columns that the user named. Where one is no known measure, such as a scanner, it is read as
        `check_participants` reads columns of the user's own.
    read_as : mapping of str to ReadAs, optional
        How to read them.

    Raises
    ------
    DataError
        If there is no ``eid`` or no phenotype, numbers contain text, or a
        participant appears twice.
    """
    if "eid" not in raw.columns:
        raise DataError(where, "no column eid", "one", "Make the table with `sarcomap analysis collect`.")
    problems = Problems(where)
    if other_visits:
        rule = "of another visit than the participants' data: left out"
        problems.notes.append(Note(f"{where}, visit", rule, other_visits, ()))
    columns: dict[str, pd.Series] = {"eid": raw["eid"].astype("string")}
    for name in raw.columns:
        if name == "eid":
            continue
        if name.endswith(("_cm3", "_ratio", "_ratio_left", "_ratio_right", "_asymmetry", "_fraction", "_per_cm2")):
            values = numbers(raw[name], name, problems)
            must_be_positive = name.startswith("tmv") or "ratio" in name or name.endswith("_per_cm2")
            wrong = (values <= 0 if must_be_positive else values < 0) | np.isinf(values)
            rule = (
                "not above 0, or infinite: set to missing"
                if must_be_positive
                else "negative, or infinite: set to missing"
            )
            if (values < 0).sum() > max(1, _IMPOSSIBLE_SHARE * values.notna().sum()):
                signed = name.endswith("_asymmetry")
                remedy = f"Take |left - right| / larger for {name}." if signed else f"Check {name}."
                problems.add(name, "negative values", values < 0, remedy)
            problems.note(name, rule, wrong)
            columns[name] = values.mask(wrong)
        elif "_fat_" in name or name.endswith("_cm2"):
            columns[name] = finite(numbers(raw[name], name, problems), name, problems)
        else:
            own = own_column(name, raw, {}, read_as or {}, problems) if name in also else None
            columns[name] = raw[name] if own is None else own[0]
    table = pd.DataFrame(columns)
    _check_identifiers(table["eid"], problems)
    if not {"tmv_cm3", "pa_ratio"} & set(table.columns):
        raise DataError(where, "neither tmv_cm3 nor pa_ratio", "at least one phenotype", "Name the columns like this.")
    for name in ("tmv_cm3", "pa_ratio", "lr_asymmetry"):
        if name not in table.columns:
            table[name] = np.nan
    check_phenotype_ranges(table, problems)
    problems.raise_if_any("one row of numbers per participant, volumes in cm3")
    return Checked(table, tuple(problems.notes), {name: (name,) for name in table.columns}, tuple(raw.columns))


def checked_repeats(raw: pd.DataFrame, where: str) -> pd.DataFrame | None:
    """Phenotypes of all visits, each checked as `check_phenotypes` does; None if nobody has several visits.

    Raises
    ------
    DataError
        If those of a visit cannot be used.
    """
    repeats = repeats_of(raw)
    if repeats is None:
        return None
    parts = [
        check_phenotypes(part.reset_index(drop=True), f"{where}, visit {visit:g}").table
        for visit, part in repeats.groupby("visit")
    ]
    return pd.concat(parts, ignore_index=True)


def _check_identifiers(eid: pd.Series, problems: Problems) -> None:
    empty = eid.isna() | (eid == "")
    if empty.any():
        problems.add("eid", "no identifier", empty, "Give every row its eid.")
    rounded = eid.str.fullmatch(r"\d(?:[.,]\d+)?[eE]\+?\d+").fillna(False)
    if rounded.any():
        problems.add(
            "eid",
            "scientific notation, so digits are lost",
            rounded,
            "Export the table again; a spreadsheet writes such numbers unless the column is text.",
        )
    twice = eid.duplicated(keep=False) & ~empty & ~rounded
    if twice.any():
        problems.add(
            "eid",
            "a participant more than once",
            twice,
            "Keep one row per participant, or choose a visit (--visit).",
        )


def _check_limbs(table: pd.DataFrame, problems: Problems) -> None:
    """Check that legs have more lean mass than arms. If not, the field numbers are mixed up."""
    legs = (table["leg_lean_left_kg"] + table["leg_lean_right_kg"]).fillna(table["legs_lean_kg"])
    arms = (table["arm_lean_left_kg"] + table["arm_lean_right_kg"]).fillna(table["arms_lean_kg"])
    wrong = legs < arms
    if wrong.any() and wrong.sum() > 0.5 * (legs.notna() & arms.notna()).sum():
        problems.add("leg_lean", "legs leaner than arms", wrong, "Check the DXA field numbers in --fields.")


def _check_sums(table: pd.DataFrame, problems: Problems) -> None:
    """Check that left and right add up to the field of both. If not, one of the fields is another one."""
    for limb in ("arm", "leg"):
        sides = table[f"{limb}_lean_left_kg"] + table[f"{limb}_lean_right_kg"]
        both = table[f"{limb}s_lean_kg"]
        wrong = (sides / both - 1).abs() > _SUM_DIFFERENCE
        rule = f"left and right do not add up to {limb}s_lean_kg"
        if wrong.any() and wrong.sum() > 0.5 * (sides.notna() & both.notna()).sum():
            problems.add(f"{limb}_lean", rule, wrong, "Check the DXA field numbers in --fields.")
        else:
            problems.note(f"{limb}_lean", f"{rule}: the sides are used", wrong)


def _check_bmi(table: pd.DataFrame, problems: Problems) -> None:
    """Check that weight over squared height equals the BMI. This detects pounds, stones and feet."""
    computed = table["weight_kg"] / (table["height_cm"] / 100.0) ** 2
    known = computed.notna() & table["bmi"].notna()
    wrong = known & ((computed / table["bmi"] - 1).abs() > _BMI_DIFFERENCE)
    if wrong.sum() > max(1, _IMPOSSIBLE_SHARE * known.sum()):
        rule = "weight over squared height is not the BMI"
        problems.add("weight_kg, height_cm, bmi", rule, wrong, "Check their units: kg, cm and kg/m2.")
    else:
        problems.note("bmi", "not weight over squared height: kept as given", wrong)


def _fill_survivors(table: pd.DataFrame, problems: Problems) -> None:
    """Count a blank as alive where ``died`` is only ever 1 or blank."""
    died = table["died"]
    if (died == "1").any() and not (died == "0").any():
        blank = died.isna()
        problems.note("died", "blank where every other value is 1: counted as alive", blank)
        table["died"] = died.fillna("0")
