"""Multiple imputation of covariates by chained equations, and Rubin's rules.

Each incomplete column is regressed on all others, coefficients are drawn from their posterior, and a missing
value is taken from one of the five people whose predicted value is nearest (predictive mean matching; van
Buuren, Flexible Imputation of Missing Data, 2018). Levels of a factor are drawn by polytomous logistic regression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.definitions import EXPOSURES, OUTCOMES
from analysis.design import Covariates, beside
from analysis.distributions import t_quantile, t_tail
from analysis.logistic import LogisticFit, fit_logistic
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.polytomous import MOST_LEVELS, drawn_levels
from analysis.thirds import tertiles
from analysis.threads import one_blas_thread

__all__ = ["Pooled", "impute", "imputed_associations", "pool"]

Vector = NDArray[np.float64]

_DONORS, _CYCLES = 5, 5
IMPUTATIONS = 10


@dataclass(frozen=True)
class Pooled:
    """An estimate from several imputed tables.

    Attributes
    ----------
    estimate, standard_error : float
    low, high, p_value : float
        By Student's t with the degrees of freedom of Barnard & Rubin, Biometrika 1999;86:948-955.
    freedom : float
    missing_information : float
        Share of the estimate's variance that is due to the missing values (lambda).
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float
    freedom: float
    missing_information: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


def pool(estimates: Vector, variances: Vector, complete_freedom: float) -> Pooled:
    """Combine estimates by Rubin's rules.

    Parameters
    ----------
    estimates, variances : ndarray, shape (imputations,)
    complete_freedom : float
        Degrees of freedom without missing values: people minus coefficients.
    """
    m = len(estimates)
    within, between = float(variances.mean()), float(estimates.var(ddof=1))
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    observed = (complete_freedom + 1) / (complete_freedom + 3) * complete_freedom * (1 - share)
    freedom = observed if share < 1e-12 else 1 / (1 / ((m - 1) / share**2) + 1 / observed)
    error, estimate = float(np.sqrt(total)), float(estimates.mean())
    half = t_quantile(0.975, freedom) * error
    p_value = 2 * t_tail(abs(estimate) / error, freedom)
    return Pooled(estimate, error, estimate - half, estimate + half, p_value, freedom, share)


@one_blas_thread
def impute(table: pd.DataFrame, rng: np.random.Generator, cycles: int = _CYCLES) -> pd.DataFrame:
    """Make one completed copy of a table.

    Parameters
    ----------
    table : DataFrame
        Numbers and factors (text). Every column predicts every other one.
    rng : Generator
    cycles : int
    """
    coded: dict[str, Vector] = {}
    levels: dict[str, list[str]] = {}
    for name in table.columns:
        if pd.api.types.is_numeric_dtype(table[name]):
            coded[name] = table[name].to_numpy(dtype=float, na_value=np.nan)
        else:
            order = {"sex": ["F", "M"], "activity": ["low", "moderate", "high"]}
            levels[name] = order.get(name, sorted(map(str, table[name].dropna().unique())))
            codes = pd.Categorical(table[name], categories=levels[name]).codes.astype(float)
            coded[name] = np.where(codes < 0, np.nan, codes)
    missing = {name: ~np.isfinite(values) for name, values in coded.items()}
    filled = pd.DataFrame(coded)
    for name, gaps in missing.items():
        filled.loc[gaps, name] = rng.choice(coded[name][~gaps], int(gaps.sum()))
    values = filled.to_numpy(copy=True)
    names = list(filled.columns)
    columns = {name: _predictors(values[:, place], name, levels) for place, name in enumerate(names)}
    starts: dict[str, Vector | None] = {}
    for _ in range(cycles):
        for place, name in enumerate(names):
            gaps = missing[name]
            if not gaps.any():
                continue
            others = np.column_stack([column for other, column in columns.items() if other != name])
            if name in levels and 2 <= len(levels[name]) <= MOST_LEVELS:
                values[gaps, place], starts[name] = drawn_levels(others, values[:, place], gaps, rng, starts.get(name))
            else:
                others = np.column_stack([np.ones(len(values)), others])
                values[gaps, place] = _matched(others, values[:, place], gaps, rng)
            columns[name] = _predictors(values[:, place], name, levels)
    made = table.copy()
    for place, name in enumerate(names):
        if missing[name].any():
            column = values[:, place]
            made[name] = [levels[name][int(code)] for code in column] if name in levels else column
    return made


def _predictors(values: Vector, name: str, levels: dict[str, list[str]]) -> Vector:
    """A measure as it is, a factor as indicators; shape (n, columns)."""
    if name not in levels or not 2 <= len(levels[name]) <= MOST_LEVELS:
        return values[:, None]
    return (values[:, None] == np.arange(1, len(levels[name]))).astype(float)


def imputed_associations(
    table: pd.DataFrame,
    covariates: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
    cuts: Mapping[str, tuple[float, float]] | None = None,
    imputations: int = IMPUTATIONS,
    seed: int = 1,
) -> pd.DataFrame:
    """Adjusted odds ratios, highest against lowest third, with missing covariates imputed.

    Parameters
    ----------
    table : DataFrame
        `analysis.cohort.Cohort.eligible`. Exposures and outcomes predict the
        covariates, and are not imputed themselves.
    covariates : sequence of str
        Columns to impute and to adjust for. An exposure is not adjusted for itself.
    exposures, outcomes : sequence of str
    cuts : mapping, optional
        Fixed cuts by exposure instead of tertiles.
    imputations : int
        Number of imputed tables.
    seed : int

    Returns
    -------
    DataFrame
        ``exposure, outcome, n, events, odds_ratio, ci_low, ci_high, p_value,
        missing_information, note``. A row without an odds ratio has its reason in
        ``note``. Empty if no covariate is missing.
    """
    names = list(dict.fromkeys([*covariates, *exposures, *outcomes]))
    columns = ["exposure", "outcome", "n", "events", "odds_ratio", "ci_low", "ci_high", "p_value",
               "missing_information", "note"]  # fmt: skip
    if not covariates or not table[[*covariates]].isna().any().any():
        return pd.DataFrame(columns=columns)
    rng = np.random.default_rng(seed)
    usable = [name for name in names if table[name].notna().any()]
    completed = [impute(table[usable], rng) for _ in range(imputations)]
    rows = []
    for exposure in exposures:
        shared = [name for name in covariates if name in usable and name != exposure]
        designs = [Covariates(one, shared) for one in completed]
        groups = tertiles(table[exposure].to_numpy(dtype=float), (cuts or {}).get(exposure))
        for outcome in outcomes:
            events = table[outcome].to_numpy(dtype=float, na_value=np.nan)
            known = np.isfinite(events) & ((groups.group == 0) | (groups.group == 2))
            high = (groups.group[known] == 2).astype(float)
            about: dict[str, Any] = {
                "exposure": exposure,
                "outcome": outcome,
                "n": int(known.sum()),
                "events": int(events[known].sum()),
            }
            fits, reason = _fits(high, events[known], [design.of(known).values for design in designs])
            about["note"] = "; ".join(note for note in (groups.note, reason) if note)
            if reason:
                rows.append(about)
                continue
            pooled = pool(
                np.array([fit.coefficients[1] for fit in fits]),
                np.array([fit.covariance[1, 1] for fit in fits]),
                about["n"] - len(fits[0].coefficients),
            )
            rows.append(about | {"odds_ratio": np.exp(pooled.estimate), "ci_low": np.exp(pooled.low),
                                 "ci_high": np.exp(pooled.high), "p_value": pooled.p_value,
                                 "missing_information": pooled.missing_information})  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _fits(high: Vector, events: Vector, designs: Sequence[Vector]) -> tuple[list[LogisticFit], str]:
    """The model of each imputed table, and why there is no estimate from them; empty if there is one."""
    n, total = len(events), int(events.sum())
    if not n or np.ptp(high) == 0:
        return [], "a group of nobody: not estimable"
    if total in (0, n):
        return [], "no events" if total == 0 else "everyone has the outcome"
    fits = []
    for design in designs:
        regressors = beside(high, design)
        if min(total, n - total) < EVENTS_PER_COEFFICIENT * regressors.shape[1]:
            return [], "fewer than 5 events per coefficient: not estimable"
        try:
            fits.append(fit_logistic(regressors, events))
        except np.linalg.LinAlgError:
            return [], "exposure collinear with the covariates: not estimable"
        if fits[-1].separated:
            return [], "separated events: not estimable"
    return fits, ""


def _matched(others: Vector, column: Vector, gaps: NDArray[np.bool_], rng: np.random.Generator) -> Vector:
    """Values of people with similar predictions, by regression coefficients drawn from their posterior."""
    there = ~gaps
    x, y = others[there], column[there]
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    x, everyone = x / scale, others / scale
    information = x.T @ x + 1e-8 * np.eye(x.shape[1]) * len(y)
    inverse = np.linalg.inv(information)
    estimate = inverse @ (x.T @ y)
    freedom = max(len(y) - x.shape[1], 1)
    sigma = np.sqrt(((y - x @ estimate) ** 2).sum() / rng.chisquare(freedom))
    try:
        root = np.linalg.cholesky(inverse)
    except np.linalg.LinAlgError:  # fewer people than coefficients: the inverse is rounded, the information is not
        root = np.linalg.inv(np.linalg.cholesky(information)).T
    drawn = estimate + sigma * root @ rng.standard_normal(x.shape[1])
    predicted = x @ estimate
    order = np.argsort(predicted, kind="stable")
    place = np.searchsorted(predicted[order], everyone[gaps] @ drawn)
    low = np.clip(place - _DONORS // 2, 0, max(len(y) - _DONORS, 0))
    return y[order[low + rng.integers(0, min(_DONORS, len(y)), len(low))]]
