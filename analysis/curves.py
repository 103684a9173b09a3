"""Odds ratio along an exposure, by a restricted cubic spline, with its 95% band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.design import Covariates, beside
from analysis.distributions import normal_quantile
from analysis.logistic import fit_logistic
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.splines import KNOT_PERCENTILES, restricted_cubic_spline

__all__ = ["odds_ratio_curves"]

_POINTS = 60
_FEWEST_EVENTS = 50


def odds_ratio_curves(
    table: pd.DataFrame, exposure: str, outcomes: Sequence[str], covariates: Sequence[str]
) -> pd.DataFrame:
    """Estimate the curve of each outcome against the median of the exposure.

    Returns
    -------
    DataFrame
        ``exposure, outcome, value, odds_ratio, ci_low, ci_high``, from the 1st to
        the 99th percentile of the exposure; Wald's bands. Outcomes with fewer
        than 50 events or five per coefficient, or separated ones, are left out.
        Empty for an exposure of one value.
    """
    rows = []
    shared = Covariates(table, [name for name in covariates if name != exposure])
    values = table[exposure].to_numpy(dtype=float, na_value=np.nan)
    for outcome in outcomes:
        events = table[outcome].to_numpy(dtype=float, na_value=np.nan)
        known = shared.known & np.isfinite(values) & np.isfinite(events)
        x, y = values[known], events[known]
        design = shared.of(known).values
        needed = max(_FEWEST_EVENTS, EVENTS_PER_COEFFICIENT * (len(KNOT_PERCENTILES) - 1 + design.shape[1]))
        if min(y.sum(), len(y) - y.sum()) < needed or np.ptp(x) == 0:
            continue
        unit = float(x.std())
        knots = np.percentile(x, KNOT_PERCENTILES) / unit
        try:
            basis = restricted_cubic_spline(x / unit, knots)
            fit = fit_logistic(beside(basis, design), y)
        except (ValueError, np.linalg.LinAlgError):  # knots that coincide, as for few distinct values
            continue
        if fit.separated:
            continue
        shown = np.linspace(float(np.percentile(x, 1)), float(np.percentile(x, 99)), _POINTS)
        middle = restricted_cubic_spline(np.array([np.median(x)]) / unit, knots)
        contrast = restricted_cubic_spline(shown / unit, knots) - middle
        k = basis.shape[1]
        log_odds = contrast @ fit.coefficients[1 : k + 1]
        variance = np.einsum("ij,jk,ik->i", contrast, fit.covariance[1 : k + 1, 1 : k + 1], contrast)
        half = normal_quantile(0.975) * np.sqrt(np.maximum(variance, 0))
        ends = np.exp(log_odds - half), np.exp(log_odds + half)
        for value, ratio, low, high in zip(shown, np.exp(log_odds), *ends, strict=True):
            rows.append((exposure, outcome, value, ratio, low, high))
    return pd.DataFrame(rows, columns=["exposure", "outcome", "value", "odds_ratio", "ci_low", "ci_high"])
