"""Covariates of a genome-wide association study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.fields import Field, find_columns, read_fields
from analysis.tables import read_table
from analysis.validation import check_participants

__all__ = ["CATEGORICAL", "QUANTITATIVE", "read_covariates"]

QUANTITATIVE = ("age", "age2", "sex", "age_x_sex", "height_cm", "imaging_year")
CATEGORICAL = ("centre",)
# Field 54: the assessment centre. Its codes are numbers, and no tool may take them for a quantity.
_CENTRE = Field("centre", ("center", "assessment_centre"), ukb=54, instance=2, kind="id")


def read_covariates(path: Path, fields: Path | None, visit: str | None) -> pd.DataFrame:
    """Read and check the participants table.

    Parameters
    ----------
    path : Path
    fields : Path or None
        The user's map of columns.
    visit : str or None
        Instance of the UK Biobank fields to read instead of 2.

    Returns
    -------
    DataFrame
        By ``eid``: ``sex_code`` (``M`` or ``F``), and those covariates that the
        table has: ``age`` (years), ``age2``, ``sex`` (1 men, 0 women),
        ``age_x_sex``, ``height_cm``, ``imaging_year`` (date as a decimal year) and
        ``centre`` (text that starts with a letter).

    Raises
    ------
    DataError
        If there is no eid, age or sex, or a column's values are not plausible.
    """
    known = {name: _at(field, visit) for name, field in read_fields(fields).items()}
    raw = read_table(path, ("eid", *known["eid"].names))
    checked = check_participants(raw, known, path.name).table
    made = pd.DataFrame({"eid": checked["eid"], "sex_code": checked["sex"], "age": checked["age"]})
    made["age2"] = made["age"] ** 2
    made["sex"] = checked["sex"].map({"M": 1.0, "F": 0.0}).astype("float64")
    made["age_x_sex"] = made["age"] * made["sex"]
    if checked["height_cm"].notna().any():
        made["height_cm"] = checked["height_cm"]
    day = checked["imaging_date"]
    if day.notna().any():
        made["imaging_year"] = day.dt.year + (day.dt.dayofyear - 1) / np.where(day.dt.is_leap_year, 366, 365)
    if source := find_columns(raw.columns, {"centre": _at(_CENTRE, visit)}, path.name).get("centre"):
        code = raw[source.columns[0]].astype("string").str.strip().str.removesuffix(".0")
        code = code.str.replace(r"\W+", "_", regex=True)
        made["centre"] = ("C" + code).where(code.notna() & (code != ""))
    return made.set_index("eid")


def _at(field: Field, visit: str | None) -> Field:
    if visit is None or not visit.isdigit() or not isinstance(field.instance, int):
        return field
    return replace(field, instance=int(visit))
