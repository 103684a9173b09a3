"""Reference percentiles of phenotypes by sex, age and height, as a table that a study's report can read.

Format of the table (docs/report.md): ``phenotype, sex, age, L, M, S, source, synthetic, height_cm,
height_exponent``. Each phenotype, sex and year of age has a row for people of any height, and, where heights are
known, a row with ``height_cm`` and ``height_exponent``: M is multiplied by (height / height_cm)^height_exponent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.errors import DataError
from analysis.lms import FEWEST, LmsFit, centile, fit_lms

__all__ = ["CENTILES", "COLUMNS", "PHENOTYPES", "height_curves", "percentile_curves", "reference_table"]

COLUMNS = ("phenotype", "sex", "age", "L", "M", "S", "source", "synthetic", "height_cm", "height_exponent")
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
BY_HEIGHT = ("tmv_cm3", "tvi_cm3_per_cm2", "pa_ratio")


def reference_table(
    table: pd.DataFrame, source: str, phenotypes: Sequence[str] = PHENOTYPES, synthetic: bool = False
) -> pd.DataFrame:
    """Fit L, M and S of every phenotype by sex, and again with height.

    Parameters
    ----------
    table : DataFrame
        ``sex`` (M or F), ``age`` in years, perhaps ``height_cm``, and phenotypes; as
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
    for with_height in (False, True):
        for name, sex, fit, _, _ in _fits(table, phenotypes, with_height):
            ages = _years(table.loc[table["sex"] == sex, "age"])
            of_height = (fit.height_cm, fit.height_exponent)
            for age, power, median, spread in zip(ages, *fit.at(ages), strict=True):
                rows.append((name, sex, int(age), power, median, spread, source, int(synthetic), *of_height))
    if not rows:
        raise DataError(
            "reference", "no phenotype with enough people", f"at least {FEWEST} of one sex", "Add participants."
        )
    made = pd.DataFrame(rows, columns=list(COLUMNS))
    return made.sort_values(["phenotype", "sex"], kind="stable", key=_in_order(phenotypes)).reset_index(drop=True)


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


def height_curves(
    table: pd.DataFrame, phenotypes: Sequence[str] = BY_HEIGHT, bootstraps: int = 0, seed: int = 1
) -> pd.DataFrame:
    """Percentiles by height at the median age of each sex, with bootstrap bands.

    Returns
    -------
    DataFrame
        ``phenotype, sex, age, height_cm, percentile, value, ci_low, ci_high``,
        from the 1st to the 99th percentile of height.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for name, sex, fit, _, values in _fits(table, phenotypes, with_height=True):
        people = table.loc[(table["sex"] == sex), ["age", "height_cm", name]].dropna()
        people = people[people[name] > 0]
        age, height = people["age"].to_numpy(dtype=float), people["height_cm"].to_numpy(dtype=float)
        shortest, tallest = np.percentile(height, [1, 99]).round()
        shown = np.arange(float(shortest), float(tallest), 1.0)
        at = np.full(len(shown), np.median(age)), shown
        again = []
        for _ in range(bootstraps):
            weights = np.bincount(rng.integers(0, len(age), len(age)), minlength=len(age)).astype(float)
            again.append(fit_lms(age, values, weights, fit, height))
        for percentile, z in CENTILES.items():
            low = high = np.full(len(shown), np.nan)
            if again:
                low, high = np.percentile([centile(*other.at(*at), z) for other in again], [2.5, 97.5], axis=0)
            parts.append(pd.DataFrame({"phenotype": name, "sex": sex, "age": at[0], "height_cm": shown,
                                       "percentile": percentile, "value": centile(*fit.at(*at), z),
                                       "ci_low": low, "ci_high": high}))  # fmt: skip
    columns = ["phenotype", "sex", "age", "height_cm", "percentile", "value", "ci_low", "ci_high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _in_order(phenotypes: Sequence[str]) -> Callable[[pd.Series], pd.Series]:
    """Key of a sort: phenotypes as they were named, and men before women."""
    place = {name: number for number, name in enumerate([*phenotypes, "M", "F"])}
    return lambda column: column.map(place)


def _fits(
    table: pd.DataFrame, phenotypes: Sequence[str], with_height: bool = False
) -> list[tuple[str, str, LmsFit, np.ndarray, np.ndarray]]:
    made: list[tuple[str, str, LmsFit, np.ndarray, np.ndarray]] = []
    if with_height and "height_cm" not in table.columns:
        return made
    needed = ["age", "height_cm"] if with_height else ["age"]
    for name in phenotypes:
        if name not in table.columns:
            continue
        for sex in ("M", "F"):
            part = table.loc[table["sex"] == sex, [*needed, name]].dropna()
            part = part[part[name] > 0]
            age, values = part["age"].to_numpy(dtype=float), part[name].to_numpy(dtype=float)
            height = part["height_cm"].to_numpy(dtype=float) if with_height else None
            try:
                made.append((name, sex, fit_lms(age, values, height_cm=height), age, values))
            except ValueError:  # too few people, or too few distinct ages for the knots
                continue
    return made


def _years(age: pd.Series) -> np.ndarray:
    low, high = np.percentile(age.dropna().astype(float), [1, 99])
    return np.arange(np.ceil(low), np.floor(high) + 1)
