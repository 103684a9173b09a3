"""Sensitivity of the associations to the analysis: per SD, with a curve, with fixed cuts, with other cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.definitions import EXPOSURES, OUTCOMES
from analysis.design import Covariates, Design, beside, exposure_sd
from analysis.logistic import fit_logistic, likelihood_ratio_p
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT, TOO_MANY, Association, associate, too_many
from analysis.penalised_logistic import firth
from analysis.profile_likelihood import profile_interval
from analysis.splines import restricted_cubic_spline
from analysis.thirds import tertiles

__all__ = ["PAPER_CUTS", "mark_missing", "per_sd", "sensitivity"]

Vector = NDArray[np.float64]

# Cuts between thirds as printed (method, section 7).
PAPER_CUTS = {"pa_ratio": (0.41, 0.48), "lr_asymmetry_dexa": (0.017, 0.041), "lr_asymmetry_mri": (0.017, 0.041)}


def per_sd(
    table: pd.DataFrame,
    covariates: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
) -> pd.DataFrame:
    """Estimate odds ratios per standard deviation of an exposure, in everyone, and test whether a curve fits better.

    Returns
    -------
    DataFrame
        ``exposure, outcome, n, events, sd, odds_ratio, ci_low, ci_high,
        p_value, p_nonlinear, method, note``. ``sd`` is that of everybody in the
        table who has the exposure (`analysis.design.exposure_sd`), also where the
        model has fewer people. ``p_nonlinear`` is the likelihood ratio test of a
        restricted cubic spline with four knots against the straight line.
        Adjusted for ``covariates``.
    """
    rows = []
    for exposure in exposures:
        columns = Covariates(table, [name for name in covariates if name != exposure])
        values = table[exposure].to_numpy(dtype=float, na_value=np.nan)
        sd = exposure_sd(values)
        for outcome in outcomes:
            happened = table[outcome].to_numpy(dtype=float, na_value=np.nan)
            rows_known = columns.known & np.isfinite(values) & np.isfinite(happened)
            x, events = values[rows_known], happened[rows_known]
            row = {"exposure": exposure, "outcome": outcome, "n": len(x), "events": int(events.sum())}
            rows.append(row | {"sd": sd} | _per_sd(x, sd, events, columns.of(rows_known)))
    return pd.DataFrame(rows)


def _per_sd(x: Vector, sd: float, events: Vector, design: Design) -> dict[str, object]:
    empty = dict.fromkeys(("odds_ratio", "ci_low", "ci_high", "p_value", "p_nonlinear"), float("nan"))
    total = float(events.sum())
    if not len(x) or np.ptp(x) == 0 or total in (0, len(events)):
        return empty | {"method": "none", "note": "no variation: not estimable"}
    model = design.beside(x / sd)
    regressors = model.values
    notes = list(design.notes)
    few = min(total, len(events) - total) < EVENTS_PER_COEFFICIENT * regressors.shape[1]
    if too_many(regressors):
        return empty | {"method": "none", "note": "; ".join([*notes, TOO_MANY])}
    try:
        fit = fit_logistic(regressors, events, standardised=model.standardised)
    except np.linalg.LinAlgError:
        return empty | {"method": "none", "note": "exposure collinear with the covariates: not estimable"}
    low, high = None, None
    if not (fit.separated or few):
        low, high = profile_interval(fit, regressors, events, 0, standardised=model.standardised)
    if low is None or high is None:
        notes.append("sparse or separated events: Firth's penalised likelihood")
        penalised = firth(regressors, events, 0, standardised=model.standardised)
        if not penalised.converged:
            notes.append("which did not converge")
        ends = [float("nan") if end is None else float(np.exp(end)) for end in (penalised.low, penalised.high)]
        return empty | {
            "odds_ratio": float(np.exp(penalised.coefficient)) if penalised.converged else float("nan"),
            "ci_low": ends[0],
            "ci_high": ends[1],
            "p_value": penalised.p_value,
            "method": "firth",
            "note": "; ".join(notes),
        }
    try:
        curve = restricted_cubic_spline(x / sd)
        start = np.concatenate([fit.coefficients[:2], [0.0, 0.0], fit.coefficients[2:]])
        curved = fit_logistic(beside(curve, design.values), events, start=start)
        p_nonlinear = float("nan") if curved.separated else likelihood_ratio_p(curved, fit)
        if curved.separated:
            notes.append("no test of a curve: separated events")
    except (ValueError, np.linalg.LinAlgError):  # knots that coincide or nearly coincide
        p_nonlinear = float("nan")
        notes.append("no test of a curve: too few different values")
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
    table: pd.DataFrame,
    covariates: Sequence[str],
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
    everyone: pd.DataFrame | None = None,
    cuts: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Estimate the associations in other ways.

    Parameters
    ----------
    table : DataFrame
        Complete cases, `analysis.cohort.Cohort.analysed`.
    covariates, exposures, outcomes : sequence of str
    everyone : DataFrame, optional
        `analysis.cohort.Cohort.eligible`: also includes people who lack a
        covariate, or a measurement that this question does not need.
    cuts : mapping, optional
        Fixed cuts by exposure instead of tertiles.

    Returns
    -------
    DataFrame
        ``analysis`` and the columns of `analysis.odds_ratios.Association`:
        every outcome with the paper's printed cuts; every outcome in everyone
        with known exposure and outcome, even if other data are missing;
        confirmed sarcopenia against none, without probable cases; confirmed or
        probable against none.

    Notes
    -----
    In the analysis of everyone, a missing factor is a separate level, and a
    missing measurement becomes the mean with an indicator (the missing-indicator
    method). This keeps people at the cost of some residual confounding if many
    values are missing (Groenwold et al., CMAJ 2012;184:1265-1269). Therefore it
    is compared with the complete cases and does not replace them.
    """
    table = table[[*dict.fromkeys([*exposures, *outcomes, *covariates, "sarcopenia", "probable_sarcopenia"])]]
    without_probable = table["sarcopenia"].mask(table["probable_sarcopenia"] == 1)
    any_sarcopenia = table["sarcopenia"].mask(table["probable_sarcopenia"] == 1, 1.0)
    sarcopenia = (
        ("probable sarcopenia left out", table.assign(sarcopenia=without_probable)),
        ("confirmed or probable sarcopenia", table.assign(sarcopenia=any_sarcopenia)),
    )
    rows = []
    for exposure in exposures:
        shared = tuple(name for name in covariates if name != exposure)
        model, columns = ("adjusted" if shared else "crude"), Covariates(table, shared)
        values = table[exposure].to_numpy(dtype=float)
        thirds = tertiles(values, (cuts or {}).get(exposure))
        asked = []
        if exposure in PAPER_CUTS:
            printed = tertiles(values, PAPER_CUTS[exposure])
            asked = [("cuts printed in the paper", table, outcome, printed) for outcome in outcomes]
        if "sarcopenia" in outcomes:
            asked += [(label, data, "sarcopenia", thirds) for label, data in sarcopenia]
        for label, data, outcome, groups in asked:
            rows.append({"analysis": label, **vars(associate(data, exposure, outcome, groups, columns, model))})
        if everyone is not None:
            groups = tertiles(everyone[exposure].to_numpy(dtype=float), (cuts or {}).get(exposure))
            filled, marked = mark_missing(everyone, shared)
            columns = Covariates(filled, marked)
            for outcome in outcomes:
                found = associate(filled, exposure, outcome, groups, columns, model)
                rows.append({"analysis": "everyone, missing covariates marked", **vars(found)})
    return pd.DataFrame(rows, columns=["analysis", *Association.__dataclass_fields__])


def mark_missing(table: pd.DataFrame, covariates: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Fill and mark missing covariates: mean and indicator, or a level ``missing`` of a factor."""
    filled, names = table.copy(), list(covariates)
    for covariate in covariates:
        missing = table[covariate].isna()
        if not missing.any():
            continue
        if pd.api.types.is_numeric_dtype(table[covariate]):
            filled[covariate] = table[covariate].fillna(table[covariate].mean())
        else:
            filled[covariate] = table[covariate].astype("string").fillna("missing")
        filled[f"{covariate} missing"] = missing.astype(float)
        names.append(f"{covariate} missing")
    return filled, tuple(names)
