"""Reference percentiles of phenotypes by sex and age, as a table that a study's report can read.

Format of the table (docs/analysis.md): ``phenotype, sex, age, L, M, S, source, synthetic``, one row per
phenotype, sex and year of age.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import DataError
from analysis.lms import FEWEST, LmsFit, centile, fit_lms

__all__ = ["CENTILES", "COLUMNS", "PHENOTYPES", "percentile_curves", "reference_table"]

COLUMNS = ("phenotype", "sex", "age", "L", "M", "S", "source", "synthetic")
# Percentiles that are drawn, with their z scores.
CENTILES = {3: -1.880793608151251, 10: -1.2815515655446004, 25: -0.6744897501960817, 50: 0.0,
            75: 0.6744897501960817, 90: 1.2815515655446004, 97: 1.8807936081512509}  # fmt: skip
# Phenotypes of a study's report that are above 0 in everybody. Asymmetries are not.
PHENOTYPES = (
    "tmv_cm3",
    "tvi_cm3_per_cm2",
    "pa_ratio",
    "quadriceps_cm3",
    "hamstrings_cm3",
    "anterior_cm3",
    "gluteal_cm3",
    "medial_cm3",
    "posterior_cm3",
    "core_cm3",
    "muscle_dixon_fat_core",
    "thigh_dixon_fat_core",
    "muscle_fat_fraction",
)
DRAWN = ("tmv_cm3", "tvi_cm3_per_cm2", "pa_ratio", "muscle_fat_fraction")


def reference_table(
    table: pd.DataFrame, source: str, phenotypes: Sequence[str] = PHENOTYPES, synthetic: bool = False
) -> pd.DataFrame:
    """Fit L, M and S of every phenotype by sex.

    Parameters
    ----------
    table : DataFrame
        ``sex`` (M or F), ``age`` in years, and phenotypes; as
        `analysis.cohort.Cohort.analysed`. Phenotypes that it lacks are left out.
    source : str
        What the table is made from, for the report that shows it.
    phenotypes : sequence of str
    synthetic : bool
        Whether any participant is synthetic.

    Returns
    -------
    DataFrame
        `COLUMNS`; for every whole year of age between the 1st and 99th
        percentile of the sex.

    Raises
    ------
    DataError
        If no phenotype has 100 people of a sex.
    """
    rows = []
    for name, sex, fit, _, _ in _fits(table, phenotypes):
        ages = _years(table.loc[table["sex"] == sex, "age"])
        for age, power, median, spread in zip(ages, *fit.at(ages), strict=True):
            rows.append((name, sex, int(age), power, median, spread, source, int(synthetic)))
    if not rows:
        raise DataError(
            "reference", "no phenotype with enough people", f"at least {FEWEST} of one sex", "Add participants."
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def percentile_curves(
    table: pd.DataFrame, phenotypes: Sequence[str] = DRAWN, bootstraps: int = 0, seed: int = 1
) -> pd.DataFrame:
    """Percentiles by age, with bootstrap bands.

    Returns
    -------
    DataFrame
        ``phenotype, sex, age, percentile, value, ci_low, ci_high``; the interval
        is the percentile interval of curves that are fitted to resampled people.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for name, sex, fit, age, values in _fits(table, phenotypes):
        ages = _years(pd.Series(age))
        again = []
        for _ in range(bootstraps):
            weights = np.bincount(rng.integers(0, len(age), len(age)), minlength=len(age)).astype(float)
            again.append(fit_lms(age, values, weights, fit))
        for percentile, z in CENTILES.items():
            curve = centile(*fit.at(ages), z)
            low = high = np.full(len(ages), np.nan)
            if again:
                low, high = np.percentile([centile(*other.at(ages), z) for other in again], [2.5, 97.5], axis=0)
            rows += list(zip([name] * len(ages), [sex] * len(ages), ages.astype(int), [percentile] * len(ages),
                             curve, low, high, strict=True))  # fmt: skip
    return pd.DataFrame(rows, columns=["phenotype", "sex", "age", "percentile", "value", "ci_low", "ci_high"])


def _fits(table: pd.DataFrame, phenotypes: Sequence[str]) -> list[tuple[str, str, LmsFit, np.ndarray, np.ndarray]]:
    made = []
    for name in phenotypes:
        if name not in table.columns:
            continue
        for sex in ("M", "F"):
            part = table.loc[table["sex"] == sex, ["age", name]].dropna()
            part = part[part[name] > 0]
            age, values = part["age"].to_numpy(dtype=float), part[name].to_numpy(dtype=float)
            try:
                made.append((name, sex, fit_lms(age, values), age, values))
            except ValueError:  # too few people, or too few distinct ages for the knots
                continue
    return made


def _years(age: pd.Series) -> np.ndarray:
    low, high = np.percentile(age.dropna().astype(float), [1, 99])
    return np.arange(np.ceil(low), np.floor(high) + 1)
