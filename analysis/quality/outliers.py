"""Find studies whose measurements are far from those of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["LIMIT", "LIMIT_OF_SIDES", "MAIN", "Extremes", "find_extremes", "robust_z"]

#: Phenotypes that are shown and examined, if the table has them.
MAIN = (
    "tmv_cm3",
    "tvi_cm3_per_cm2",
    "pa_ratio",
    "lr_asymmetry",
    "quadriceps_cm3",
    "hamstrings_cm3",
    "bone_cm3",
    "muscle_dixon_fat_core",
    "muscle_fat_fraction",  # of reports before schema 1.2.0
)
#: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): a modified z score above 3.5 is a potential outlier.
LIMIT = 3.5
#: Higher, because the largest of 27 structures is taken.
LIMIT_OF_SIDES = 5.0

_TO_SD = 1.4826  # of a normal distribution, SD over median absolute deviation
_FEWEST = 10


@dataclass(frozen=True)
class Extremes:
    """How far each study is from the others. All tables have the rows of the phenotypes.

    Attributes
    ----------
    z : DataFrame
        Robust z of each main phenotype, within sex where sex is known.
    sides : DataFrame
        ``structure`` with the most unusual ratio of left to right, its
        ``ratio`` and robust ``z``; missing if no structure has both sides.
    seam_z : Series
        Robust z of the most visible seam. Only high values are unusual.
    within_sex : bool
        Whether sex is known of any study.
    """

    z: pd.DataFrame
    sides: pd.DataFrame
    seam_z: pd.Series
    within_sex: bool

    @property
    def outlier(self) -> pd.Series:
        """Whether any main phenotype is beyond `LIMIT`."""
        return (self.z.abs() > LIMIT).any(axis=1)


def robust_z(values: pd.Series, groups: pd.Series | None = None) -> pd.Series:
    """Distance from the median in robust standard deviations (1.4826 x median absolute deviation).

    Missing for a group with fewer than 10 values, or in which more than half of the values are equal.

    Parameters
    ----------
    values : Series of float
    groups : Series, optional
        Values are compared within a group. Those without a group are compared with all.

    Examples
    --------
    >>> robust_z(pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 100])).round(1).tolist()[-2:]
    [0.9, 25.5]
    """
    everyone = _z(values)
    if groups is None:
        return everyone
    within = values.groupby(groups).transform(_z)
    return within.where(groups.notna(), everyone)


def find_extremes(table: pd.DataFrame, sex: pd.Series | None = None) -> Extremes:
    """Compare the studies of a table of phenotypes with each other.

    Parameters
    ----------
    table : DataFrame
        As `analysis.collect.collect_reports` makes it.
    sex : Series, optional
        ``M``, ``F`` or missing, with the table's index.
    """
    known = sex if sex is not None and sex.notna().any() else None
    present = [name for name in MAIN if name in table.columns and table[name].notna().any()]
    if "muscle_dixon_fat_core" in present:
        present = [name for name in present if name != "muscle_fat_fraction"]
    z = pd.DataFrame({name: robust_z(table[name], known) for name in present}, index=table.index)
    seam = table["seam_visibility_max"] if "seam_visibility_max" in table.columns else pd.Series(np.nan, table.index)
    return Extremes(z, _sides(table), robust_z(seam), known is not None)


def _z(values: pd.Series) -> pd.Series:
    centred = values - values.median()
    spread = _TO_SD * centred.abs().median()
    if values.notna().sum() < _FEWEST or not spread > 0:
        return pd.Series(np.nan, index=values.index)
    return centred / spread


def _sides(table: pd.DataFrame) -> pd.DataFrame:
    names = [
        name.removesuffix("_left_cm3")
        for name in table.columns
        if name.endswith("_left_cm3")
        and name.replace("_left_", "_right_") in table.columns
        # Sums of structures would only repeat what one of them shows.
        and not name.startswith(("tmv", "thigh"))
    ]
    logs: dict[str, pd.Series] = {}
    for name in names:
        left, right = table[f"{name}_left_cm3"], table[f"{name}_right_cm3"]
        logs[name] = np.log((left / right).where((left > 0) & (right > 0)))
    log_ratio = pd.DataFrame(logs, index=table.index)
    z = log_ratio.apply(_z) if names else log_ratio
    made = pd.DataFrame({"structure": None, "ratio": np.nan, "z": np.nan}, index=table.index)
    made["structure"] = made["structure"].astype("string")
    rows = z.notna().any(axis=1) if names else pd.Series(False, index=table.index)
    if rows.any():
        worst = z[rows].abs().idxmax(axis=1)
        column = log_ratio.columns.get_indexer(worst)
        row = np.flatnonzero(rows)
        made.loc[rows, "structure"] = worst
        made.loc[rows, "ratio"] = np.exp(log_ratio.to_numpy()[row, column])
        made.loc[rows, "z"] = z.to_numpy()[row, column]
    return made
