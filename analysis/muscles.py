"""Every muscle as an exposure: is it the ratio, or one muscle?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.design import Covariates, beside, exposure_sd
from analysis.distributions import normal_quantile
from analysis.logistic import fit_logistic
from analysis.multiplicity import benjamini_hochberg
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.penalised_selection import stability_selection
from analysis.profile_likelihood import profile_interval

__all__ = ["NOT_MUSCLES", "muscle_associations", "muscle_selection", "muscles_per_height"]

Vector = NDArray[np.float64]

NOT_MUSCLES = {"iliac_bone", "femur", "adipose_tissue", "adipose"}
_FEWEST_EVENTS = 50


def muscles_per_height(table: pd.DataFrame, structures: Sequence[str]) -> pd.DataFrame:
    """Volume of both sides of every muscle over squared height, cm3/m2; volumes grow with the size of the body."""
    height_m = table["height_cm"] / 100
    return pd.DataFrame(
        {name: table[f"{name}_cm3"] / height_m**2 for name in structures if name not in NOT_MUSCLES},
        index=table.index,
    )


def muscle_associations(
    table: pd.DataFrame,
    structures: Sequence[str],
    covariates: Sequence[str],
    outcomes: Sequence[str] = ("falls", "mortality", "weak_grip"),
) -> pd.DataFrame:
    """Odds ratio of every muscle per SD, with and without total muscle volume in the model.

    Parameters
    ----------
    table : DataFrame
        As `analysis.cohort.Cohort.analysed`.
    structures : sequence of str
        Their ``_cm3`` columns are used; bones and fat are left out.
    covariates, outcomes : sequence of str

    Returns
    -------
    DataFrame
        ``outcome, muscle, model`` (adjusted, or adjusted and TMV), ``n, events,
        odds_ratio, ci_low, ci_high, p_value, note, p_bh``. A row without an odds
        ratio has its reason in ``note``. P/A stands beside the
        muscles, and is not counted among them for ``p_bh``.
    """
    muscles = muscles_per_height(table, structures)
    markers = {name: muscles[name].to_numpy(dtype=float) for name in muscles}
    markers["pa_ratio"] = table["pa_ratio"].to_numpy(dtype=float)
    rows: list[dict[str, object]] = []
    for model, more in (("adjusted", ()), ("adjusted and TMV", ("tmv_cm3",))):
        shared = Covariates(table, [*covariates, *(name for name in more if name not in covariates)])
        for outcome in outcomes:
            events = table[outcome].to_numpy(dtype=float, na_value=np.nan)
            for name, values in markers.items():
                known = shared.known & np.isfinite(events) & np.isfinite(values)
                row = {"outcome": outcome, "muscle": name, "model": model, "n": int(known.sum())}
                rows.append(row | _per_sd(values[known], exposure_sd(values), events[known], shared.of(known).values))
    made = pd.DataFrame(rows)
    counted = made["muscle"] != "pa_ratio"
    made["p_bh"] = np.nan
    for _, part in made[counted].groupby(["model", "outcome"], sort=False):
        made.loc[part.index, "p_bh"] = benjamini_hochberg(part["p_value"].to_numpy())
    return made


def muscle_selection(
    table: pd.DataFrame,
    structures: Sequence[str],
    covariates: Sequence[str],
    outcomes: Sequence[str] = ("falls", "mortality", "weak_grip"),
    seed: int = 1,
) -> pd.DataFrame:
    """Share of half samples in which a lasso keeps each muscle, P/A and TMV; covariates are not penalised.

    Returns
    -------
    DataFrame
        ``outcome, marker, share``: the stability selection of Meinshausen &
        Bühlmann, J R Stat Soc B 2010;72:417-473. Shares above 0.6 to 0.9 count
        as stable.
    """
    muscles = muscles_per_height(table, structures)
    markers = muscles.assign(pa_ratio=table["pa_ratio"], tmv_cm3=table["tmv_cm3"])
    shared = Covariates(table, [name for name in covariates if name != "tmv_cm3"])
    there = np.isfinite(markers.to_numpy(dtype=float)).all(axis=1)
    rows = []
    for outcome in outcomes:
        events = table[outcome].to_numpy(dtype=float, na_value=np.nan)
        known = shared.known & there & np.isfinite(events)
        design = shared.of(known).values
        if _few(events[known], design):
            continue
        shares = stability_selection(
            markers.to_numpy(dtype=float)[known], design, events[known], np.random.default_rng(seed)
        )
        rows += [{"outcome": outcome, "marker": name, "share": share}
                 for name, share in zip(markers.columns, shares, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["outcome", "marker", "share"])


def _few(events: Vector, shared: Vector) -> bool:
    """Whether there are too few events for a muscle beside these covariates, shape (n, k)."""
    fewer = min(events.sum(), len(events) - events.sum())
    return bool(fewer < max(_FEWEST_EVENTS, EVENTS_PER_COEFFICIENT * (1 + shared.shape[1])))


def _per_sd(values: Vector, sd: float, events: Vector, shared: Vector) -> dict[str, object]:
    empty: dict[str, object] = {
        "events": int(events.sum()),
        **dict.fromkeys(("odds_ratio", "ci_low", "ci_high", "p_value"), np.nan),
        "note": "",
    }
    if _few(events, shared):
        return empty | {"note": "too few events: not estimable"}
    if np.ptp(values) == 0:
        return empty | {"note": "no variation: not estimable"}
    regressors = beside(values / sd, shared)
    try:
        fit = fit_logistic(regressors, events)
    except np.linalg.LinAlgError:
        return empty | {"note": "muscle collinear with the covariates: not estimable"}
    low, high = profile_interval(fit, regressors, events, 0)
    half = normal_quantile(0.975) * float(fit.standard_errors[1])
    estimate = float(fit.coefficients[1])
    ends = (estimate - half if low is None else low, estimate + half if high is None else high)
    return empty | {"odds_ratio": np.exp(estimate), "ci_low": np.exp(ends[0]), "ci_high": np.exp(ends[1]),
                    "p_value": float(fit.p_values[1])}  # fmt: skip
