"""Check the columns that the options name: that they exist, and that their values suit what is asked of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from analysis.covariate_types import near_names
from analysis.errors import DataError
from analysis.validation import Checked
from analysis.values import binary, not_binary, quoted

__all__ = ["check_columns", "check_kinds", "without_copies"]

# Share by which copies of a measure may differ: they were rounded.
_ROUNDED = 1e-4


def check_columns(table: pd.DataFrame, participants: Checked, named: dict[str, Sequence[str]]) -> None:
    """Raise `DataError` for a column that neither table has, with the names that may be meant."""
    for option, names in named.items():
        for name in names:
            # A column of the field map exists even where the file lacks it; it is empty then.
            lacks = name in participants.fields and name not in participants.sources
            if name in table.columns and not (lacks and table[name].isna().all()):
                continue
            header = dict.fromkeys([*participants.header, *table.columns])
            near = [other for other in near_names(name, list(header), participants.fields) if other != name]
            remedy = f"Near it: {', '.join(near)}. " if near else ""
            raise DataError(
                "participants and phenotypes",
                f"no column {name}",
                f"every column of --{option}",
                f"{remedy}Check --{option}.",
            )


def check_kinds(
    table: pd.DataFrame, exposures: Sequence[str], outcomes: Sequence[str], covariates: Sequence[str]
) -> None:
    """Make exposures numbers and outcomes 0 and 1, and check that covariates are numbers or categories.

    Raises
    ------
    DataError
        If one is not.
    """
    for name in exposures:
        values = table[name].dropna()
        if name == "eid" or not (pd.api.types.is_numeric_dtype(values) or _are_numbers(values)):
            kind = _kind(values, name)
            raise DataError(f"column {name}", f"{kind} as an exposure", "numbers, which can be cut into thirds",
                            "Make such a column, or name it in --adjust or --interactions.")  # fmt: skip
        table[name] = pd.to_numeric(table[name]).astype("float64")
    for name in outcomes:
        found = binary(table[name])
        if found is None:
            raise DataError(
                f"column {name}", f"values other than 0 and 1 ({quoted(not_binary(table[name]))})",
                "0 or 1, true or false, yes or no, or empty in an outcome",
                "Make such a column, or use it as an exposure or covariate.",
            )  # fmt: skip
        table[name] = found
    for name in covariates:
        values = table[name].dropna()
        if name == "eid" or pd.api.types.is_datetime64_any_dtype(values):
            raise DataError(f"column {name}", f"{_kind(values, name)} as a covariate", "numbers or categories",
                            "Take it out of the option that names it.")  # fmt: skip


def without_copies(people: pd.DataFrame, images: pd.DataFrame, fields: Collection[str]) -> pd.DataFrame:
    """Leave out what the participants' table repeats of the phenotypes, which were checked as phenotypes.

    Parameters
    ----------
    people, images : DataFrame
        Each with one row per ``eid``.
    fields : collection of str
        Columns of the field map, which the participants' table is asked for.

    Raises
    ------
    DataError
        If the tables give people other values: nobody can know which are meant.
    """
    copies = [name for name in people.columns if name in images.columns and name not in fields]
    theirs = images.set_index("eid")[copies].reindex(people["eid"])
    for name in copies:
        one, other = people[name].reset_index(drop=True), theirs[name].reset_index(drop=True)
        both = one.notna() & other.notna()
        if _are_numbers(one[both]) and _are_numbers(other[both]):
            one, other = (pd.to_numeric(values, errors="coerce").astype("float64") for values in (one, other))
            differ = both & ~np.isclose(one, other, rtol=_ROUNDED, atol=0)
        else:
            differ = both & (one.astype("string") != other.astype("string")).fillna(False)
        if differ.any():
            raise DataError(
                "participants and phenotypes",
                f"column {name} is in both tables, other values for {int(differ.sum())} of {int(both.sum())} people",
                "one of them, or the same values",
                f"Remove {name} from the participants' table, or give it another name there.",
            )
    return people.drop(columns=copies) if copies else people


def _are_numbers(values: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(values):
        return False
    return bool(pd.to_numeric(values, errors="coerce").notna().all())


def _kind(values: pd.Series, name: str) -> str:
    if name == "eid":
        return "identifiers"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "dates"
    return f"{values.nunique()} different texts"
