"""Apply the criteria of inclusion one after another, and count what each of them excludes (method, section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.text_tables import in_words

__all__ = ["Eligibility", "apply_criteria"]

# The first criteria below define the study population; the others concern missing data.
_OF_ELIGIBILITY = 3


@dataclass(frozen=True)
class Eligibility:
    """Which participants meet the criteria. Each mask has a row for each row of the table.

    Attributes
    ----------
    all_criteria : Series of bool
        Who is analysed.
    any_age : Series of bool
        Who meets all criteria but that of age.
    study_population : Series of bool
        Who is old enough and has complete MRI, whatever other data are missing.
    all_but_last : Series of bool
        Who meets all criteria but the last, which is that of the covariates if there are any.
    steps : tuple of (str, int, int)
        Reason, participants excluded for it, and participants who remain, for each criterion.
    """

    all_criteria: pd.Series
    any_age: pd.Series
    study_population: pd.Series
    all_but_last: pd.Series
    steps: tuple[tuple[str, int, int], ...]


def apply_criteria(table: pd.DataFrame, covariates: Sequence[str], min_age_years: float) -> Eligibility:
    """Apply the paper's criteria in their order.

    Parameters
    ----------
    table : DataFrame
        One row per participant, with the columns that `analysis.derived_columns.derive` adds.
    covariates : sequence of str
        Participants without one of these are excluded by the last criterion.
    min_age_years : float
        Youngest age at imaging, inclusive.
    """
    criteria: list[tuple[str, pd.Series]] = [
        ("age or sex not known", table["age"].isna() | table["sex"].isna()),
        (too_young := f"younger than {min_age_years:g} years", table["age"] < min_age_years),
        ("incomplete MRI coverage (no total muscle volume or P/A ratio)",
         table[["tmv_cm3", "pa_ratio"]].isna().any(axis=1)),
        ("no DXA appendicular lean mass or height", table["almi"].isna()),
        ("no grip strength", table["grip_kg"].isna()),
    ]  # fmt: skip
    if covariates:
        criteria.append((f"missing covariate ({in_words(covariates)})", table[[*covariates]].isna().any(axis=1)))
    everyone = pd.Series(True, index=table.index)
    meets, any_age, population, all_but_last = everyone, everyone, everyone, everyone
    steps = []
    for number, (reason, unfit) in enumerate(criteria):
        all_but_last = meets
        meets = meets & ~unfit
        if reason != too_young:
            any_age = any_age & ~unfit
        if number < _OF_ELIGIBILITY:
            population = population & ~unfit
        remaining = int(meets.sum())
        steps.append((reason, int(all_but_last.sum()) - remaining, remaining))
    return Eligibility(meets, any_age, population, all_but_last, tuple(steps))
