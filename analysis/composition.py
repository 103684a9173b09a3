"""Muscle quality: grip per muscle volume, and adverse muscle composition."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.definitions import fat_measure

__all__ = ["add_composition"]

_LOWEST_FIFTH = 0.2
# Linge et al., J Cachexia Sarcopenia Muscle 2021;12:1513-1526: high fat, and low volume for sex and BMI.
_HIGH_FAT, _LOW_VOLUME = 0.75, 0.25
_FEWEST = 50


def add_composition(table: pd.DataFrame) -> pd.DataFrame:
    """Add outcomes of muscle quality. They depend on the people in the table, so they are made last.

    Returns
    -------
    DataFrame
        With ``low_specific_strength`` (grip over muscle volume in the lowest
        fifth of the sex: the Global Leadership Initiative in Sarcopenia names
        the measure and no cut-off) and, where muscle fat is known,
        ``adverse_muscle_composition``: muscle fat above the 75th percentile of
        the sex, and muscle volume over squared height below the 25th of people
        of the same sex and similar BMI, as the residual of a parabola in BMI.
    """
    made = table.copy(deep=False)
    low = pd.Series(np.nan, index=table.index)
    adverse = pd.Series(np.nan, index=table.index)
    wanted = {"specific_strength_kg_per_l", "tvi_cm3_per_cm2", "bmi", fat_measure(table)}
    needed = table[[name for name in table.columns if name in wanted]]
    for sex in ("M", "F"):
        part = needed[(table["sex"] == sex).to_numpy(dtype=bool, na_value=False)]
        strength = part["specific_strength_kg_per_l"].dropna()
        if len(strength) >= _FEWEST:
            low[strength.index] = (strength <= strength.quantile(_LOWEST_FIFTH)).astype(float)
        measure = fat_measure(part)
        if measure not in part:
            continue
        known = part.dropna(subset=[measure, "tvi_cm3_per_cm2", "bmi"])
        if len(known) < _FEWEST:
            continue
        bmi = known["bmi"].to_numpy(dtype=float) - 26
        volume = known["tvi_cm3_per_cm2"].to_numpy(dtype=float)
        rest = volume - np.polyval(np.polyfit(bmi, volume, 2), bmi)
        fat = known[measure].to_numpy(dtype=float)
        both = (fat > np.quantile(fat, _HIGH_FAT)) & (rest < np.quantile(rest, _LOW_VOLUME))
        adverse[known.index] = both.astype(float)
    made["low_specific_strength"], made["adverse_muscle_composition"] = low, adverse
    return made
