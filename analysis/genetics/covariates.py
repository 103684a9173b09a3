"""Covariates of a genome-wide association study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.fields import Field, find_columns, read_fields
from analysis.tables import read_table
from analysis.validation import check_participants

__all__ = ["CATEGORICAL", "QUANTITATIVE", "for_regression", "read_covariates"]

QUANTITATIVE = ("age", "age2", "sex", "age_x_sex", "height_cm", "imaging_year")
CATEGORICAL = ("centre",)
# Field 54: the assessment centre. Its codes are numbers, and no tool may take them for a quantity.
_CENTRE = Field("centre", ("center", "assessment_centre"), ukb=54, instance=2, kind="id")


def read_covariates(path: Path, fields: Path | None, instance: int | None) -> pd.DataFrame:
    """Read and check the participants table.

    Parameters
    ----------
    path : Path
    fields : Path or None
        The user's map of columns.
    instance : int or None
        Visit of the UK Biobank fields to read instead of 2.

    Returns
    -------
    DataFrame
        By ``eid``: ``sex_code`` (``M`` or ``F``), and those covariates that the
        table has: ``age`` (years), ``sex`` (1 men, 0 women), ``height_cm``,
        ``imaging_year`` (date as a decimal year) and ``centre`` (text that starts
        with a letter).

    Raises
    ------
    DataError
        If there is no eid, age or sex, or a column's values are not plausible.
    """
    known = {name: _at(field, instance) for name, field in read_fields(fields).items()}
    raw = read_table(path, ("eid", *known["eid"].names))
    checked = check_participants(raw, known, path.name).table
    made = pd.DataFrame({"eid": checked["eid"], "sex_code": checked["sex"], "age": checked["age"]})
    made["sex"] = checked["sex"].map({"M": 1.0, "F": 0.0}).astype("float64")
    if checked["height_cm"].notna().any():
        made["height_cm"] = checked["height_cm"]
    day = checked["imaging_date"]
    if day.notna().any():
        made["imaging_year"] = day.dt.year + (day.dt.dayofyear - 1) / np.where(day.dt.is_leap_year, 366, 365)
    if source := find_columns(raw.columns, {"centre": _at(_CENTRE, instance)}, path.name).get("centre"):
        code = raw[source.columns[0]].astype("string").str.strip().str.removesuffix(".0")
        code = code.str.replace(r"\W+", "_", regex=True)
        made["centre"] = ("C" + code).where(code.notna() & (code != ""))
    return made.set_index("eid")


def for_regression(people: pd.DataFrame) -> tuple[pd.DataFrame, float, dict[str, str]]:
    """Add ``age2`` and ``age_x_sex``, and leave out what cannot be a covariate of these participants.

    Both are made of age minus the participants' mean age. Together with age and
    sex they explain exactly as much as those of age itself. The square of age
    itself is so nearly a multiple of age that PLINK 2 refuses the regression: its
    variance inflation factor is above 50.

    Parameters
    ----------
    people : DataFrame
        From `read_covariates`, of the participants to export only.

    Returns
    -------
    covariates : DataFrame
        In the order of `QUANTITATIVE` and `CATEGORICAL`.
    centre_age : float
        The age in years that was subtracted.
    left_out : dict of str to str
        Covariates that are missing here, and why: GCTA stops at a category of
        one level, and a constant is collinear with the intercept of every tool.
    """
    centre_age = round(float(people["age"].mean()), 1)
    centred = people["age"] - centre_age
    made = people.assign(age2=centred**2, age_x_sex=centred * people["sex"])
    made = made[[name for name in (*QUANTITATIVE, *CATEGORICAL) if name in made.columns]]
    left_out = {name: "no values" for name in made.columns if made[name].isna().all()}
    complete = made.drop(columns=list(left_out)).dropna()  # those whom the tools analyse
    left_out |= {name: "the same for all" for name in complete.columns if complete[name].nunique() < 2}
    if "sex" in left_out and "age_x_sex" in made.columns:
        left_out["age_x_sex"] = "all are of one sex"
    return made.drop(columns=list(left_out)), centre_age, left_out


def _at(field: Field, instance: int | None) -> Field:
    return field if instance is None or not isinstance(field.instance, int) else replace(field, instance=instance)
