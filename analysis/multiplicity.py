"""Correction for multiple tests, and E-values for unmeasured confounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["benjamini_hochberg", "e_value", "e_value_of_interval"]


def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p values (R's ``p.adjust(method = "BH")``). NaN stay NaN and are not counted."""
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    if len(known) == 0:
        return adjusted
    order = known[np.argsort(-p_values[known], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p_values[order] * len(order) / ranks))
    return adjusted


def e_value(odds_ratio: float, common: bool) -> float:
    """E-value of an odds ratio (VanderWeele & Ding, Ann Intern Med 2017;167:268-274).

    Parameters
    ----------
    odds_ratio : float
    common : bool
        Whether more than 15% have the outcome. The risk ratio is then
        approximated by the square root of the odds ratio.
    """
    if not np.isfinite(odds_ratio) or odds_ratio <= 0:
        return float("nan")
    ratio = np.sqrt(odds_ratio) if common else odds_ratio
    ratio = max(ratio, 1.0 / ratio)
    return float(ratio + np.sqrt(ratio * (ratio - 1.0)))


def e_value_of_interval(low: float, high: float, common: bool) -> float:
    """E-value of the interval's end nearer to 1; 1 if the interval contains 1."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return float("nan")
    if low <= 1.0 <= high:
        return 1.0
    return e_value(low if low > 1.0 else high, common)
