"""Do the associations depend on how they are asked for? Per SD, with a curve, with fixed cuts, with other cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.associations import EVENTS_PER_COEFFICIENT, EXPOSURES, associate
from analysis.definitions import OUTCOMES
from analysis.design import design_of
from analysis.firth import firth
from analysis.logistic import fit_logistic, likelihood_ratio_p, profile_interval
from analysis.tertiles import tertiles

__all__ = ["PAPER_CUTS", "per_sd", "restricted_cubic_spline", "sensitivity"]

Vector = NDArray[np.float64]

# Cuts between thirds as printed, PAPER section 7.
PAPER_CUTS = {"pa_ratio": (0.41, 0.48), "lr_asymmetry_dexa": (0.017, 0.041), "lr_asymmetry_mri": (0.017, 0.041)}
# Harrell, Regression Modeling Strategies, 2015, table 2.3: percentiles of 4 knots.
_KNOT_PERCENTILES = (5, 35, 65, 95)


def restricted_cubic_spline(x: Vector, knots: Sequence[float] | None = None) -> Vector:
    """Basis of a cubic spline that is straight beyond its outer knots.

    Parameters
    ----------
    x : ndarray, shape (n,)
    knots : sequence of float, optional
        Otherwise at the 5th, 35th, 65th and 95th percentile.

    Returns
    -------
    ndarray, shape (n, len(knots) - 1)
        ``x`` itself first; spans the same functions as R's ``splines::ns``
        with these knots.
    """
    t = np.percentile(x, _KNOT_PERCENTILES) if knots is None else np.asarray(knots, dtype=float)
    scale = (t[-1] - t[0]) ** 2

    def cube(knot: float) -> Vector:
        return np.maximum(x - knot, 0.0) ** 3

    columns = [x]
    for knot in t[:-2]:
        last = (cube(t[-2]) * (t[-1] - knot) - cube(t[-1]) * (t[-2] - knot)) / (t[-1] - t[-2])
        columns.append((cube(knot) - last) / scale)
    return np.column_stack(columns)


def per_sd(
    table: pd.DataFrame,
    covariates: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
) -> pd.DataFrame:
    """Odds ratio per standard deviation of an exposure, in everyone, and whether a curve fits better.

    Returns
    -------
    DataFrame
        ``exposure, outcome, n, events, sd, odds_ratio, ci_low, ci_high,
        p_value, p_nonlinear, method, note``; ``p_nonlinear`` is the likelihood
        ratio test of a restricted cubic spline with four knots against the
        straight line. Adjusted for ``covariates``.
    """
    rows = []
    for exposure in exposures:
        for outcome in outcomes:
            known = table[table[[exposure, outcome, *covariates]].notna().all(axis=1)]
            x, events = known[exposure].to_numpy(dtype=float), known[outcome].to_numpy(dtype=float)
            row = {"exposure": exposure, "outcome": outcome, "n": len(known), "events": int(events.sum())}
            sd = float(x.std(ddof=1)) if len(x) > 1 else 0.0
            rows.append(row | {"sd": sd} | _per_sd(x, sd, events, known, covariates))
    return pd.DataFrame(rows)


def _per_sd(x: Vector, sd: float, events: Vector, known: pd.DataFrame, covariates: Sequence[str]) -> dict[str, object]:
    empty = dict.fromkeys(("odds_ratio", "ci_low", "ci_high", "p_value", "p_nonlinear"), float("nan"))
    total = float(events.sum())
    if sd == 0 or total in (0, len(events)):
        return empty | {"method": "none", "note": "no variation: not estimable"}
    design = design_of(known, covariates)
    regressors = np.column_stack([x / sd, design.values])
    notes = list(design.notes)
    few = min(total, len(events) - total) < EVENTS_PER_COEFFICIENT * regressors.shape[1]
    try:
        fit = fit_logistic(regressors, events)
    except np.linalg.LinAlgError:
        return empty | {"method": "none", "note": "exposure collinear with the covariates: not estimable"}
    low, high = (None, None) if fit.separated or few else profile_interval(fit, regressors, events, 0)
    if low is None or high is None:
        notes.append("sparse or separated events: Firth's penalised likelihood")
        penalised = firth(regressors, events, 0)
        ends = [float("nan") if end is None else float(np.exp(end)) for end in (penalised.low, penalised.high)]
        return empty | {
            "odds_ratio": float(np.exp(penalised.coefficient)) if penalised.converged else float("nan"),
            "ci_low": ends[0],
            "ci_high": ends[1],
            "p_value": penalised.p_value,
            "method": "firth",
            "note": "; ".join(notes),
        }
    curve = restricted_cubic_spline(x / sd)
    try:
        curved = fit_logistic(np.column_stack([curve, design.values]), events)
        p_nonlinear = float("nan") if curved.separated else likelihood_ratio_p(curved, fit)
    except np.linalg.LinAlgError:  # knots that coincide, as in a measure of few values
        p_nonlinear = float("nan")
    return {
        "odds_ratio": float(np.exp(fit.coefficients[1])),
        "ci_low": float(np.exp(low)),
        "ci_high": float(np.exp(high)),
        "p_value": float(fit.p_values[1]),
        "p_nonlinear": p_nonlinear,
        "method": "maximum likelihood",
        "note": "; ".join(notes),
    }


def sensitivity(
    table: pd.DataFrame, covariates: Sequence[str], exposures: Sequence[str] = tuple(EXPOSURES)
) -> pd.DataFrame:
    """The associations, asked for in other ways.

    Returns
    -------
    DataFrame
        ``analysis`` and the columns of `analysis.associations.Association`:
        every outcome with the paper's printed cuts; confirmed sarcopenia
        against none, probable left out; confirmed or probable against none.
    """
    model = "adjusted" if covariates else "crude"
    without_probable = table["sarcopenia"].mask(table["probable_sarcopenia"] == 1)
    any_sarcopenia = table["sarcopenia"].mask(table["probable_sarcopenia"] == 1, 1.0)
    rows = []
    for exposure in exposures:
        values = table[exposure].to_numpy(dtype=float)
        thirds, printed = tertiles(values), tertiles(values, PAPER_CUTS.get(exposure))
        asked = [("cuts printed in the paper", table, outcome, printed) for outcome in OUTCOMES]
        asked += [
            ("probable sarcopenia left out", table.assign(sarcopenia=without_probable), "sarcopenia", thirds),
            ("confirmed or probable sarcopenia", table.assign(sarcopenia=any_sarcopenia), "sarcopenia", thirds),
        ]
        for label, data, outcome, groups in asked:
            rows.append({"analysis": label, **vars(associate(data, exposure, outcome, groups, covariates, model))})
    return pd.DataFrame(rows)
