"""Odds ratios of the highest against the lowest third of an exposure, crude and adjusted (method, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.definitions import EXPOSURES, OUTCOMES
from analysis.design import Covariates, Design
from analysis.distributions import chi2_tail
from analysis.logistic import fit_logistic, likelihood_ratio_p
from analysis.multiplicity import benjamini_hochberg, e_value, e_value_of_interval
from analysis.penalised_logistic import firth
from analysis.profile_likelihood import profile_interval
from analysis.thirds import Tertiles, tertiles

__all__ = [
    "EVENTS_PER_COEFFICIENT",
    "TOO_MANY",
    "Association",
    "Associations",
    "associate",
    "associations",
    "estimate_odds_ratio",
    "too_many",
]

Vector = NDArray[np.float64]

# Vittinghoff & McCulloch, Am J Epidemiol 2007;165:710-718: problems are frequent below about 5.
EVENTS_PER_COEFFICIENT = 5
_COMMON = 0.15
TOO_MANY = "more coefficients than half the people: not estimable"
# Usual limit above which collinearity is reported (Vatcheva et al., Epidemiology (Sunnyvale) 2016;6:227).
LARGE_INFLATION = 10.0


@dataclass(frozen=True)
class Association:
    """One odds ratio of the high against the low third.

    Attributes
    ----------
    exposure, outcome, model : str
        ``model`` is "crude" or "adjusted".
    n_low, n_high, events_low, events_high : int
        People in the model, and those with the outcome.
    odds_ratio, ci_low, ci_high : float
        NaN if the data do not determine them; never infinite.
    p_value : float
        Wald's. With Firth's penalty: that of the penalised likelihood ratio test.
    p_likelihood_ratio : float
    low_cut, high_cut : float
        Tertile cuts.
    converged : bool
    method : str
        "maximum likelihood", "firth" or "none".
    e_value, e_value_ci : float
        E-values of the odds ratio, and of its interval's end nearer to 1.
    note : str
        What was dropped, and why another method was used.
    variance_inflation : float
        Of the exposure, by the covariates.
    """

    exposure: str
    outcome: str
    model: str
    n_low: int
    n_high: int
    events_low: int
    events_high: int
    odds_ratio: float = float("nan")
    ci_low: float = float("nan")
    ci_high: float = float("nan")
    p_value: float = float("nan")
    low_cut: float = float("nan")
    high_cut: float = float("nan")
    converged: bool = False
    p_likelihood_ratio: float = float("nan")
    method: str = "none"
    e_value: float = float("nan")
    e_value_ci: float = float("nan")
    note: str = ""
    variance_inflation: float = float("nan")


@dataclass(frozen=True)
class Associations:
    """A family of odds ratios.

    Attributes
    ----------
    rows : tuple of Association
    """

    rows: tuple[Association, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row per odds ratio. ``p_bh`` is the Benjamini-Hochberg p value over all rows of the same model."""
        table = pd.DataFrame([vars(row) for row in self.rows], columns=[*Association.__dataclass_fields__])
        adjusted = table.groupby("model", sort=False)["p_value"].transform(lambda p: benjamini_hochberg(p.to_numpy()))
        table.insert(table.columns.get_loc("p_likelihood_ratio") + 1, "p_bh", adjusted)
        return table


def associations(
    table: pd.DataFrame,
    covariates: Sequence[str],
    *,
    exposures: Sequence[str] = tuple(EXPOSURES),
    outcomes: Sequence[str] = tuple(OUTCOMES),
    cuts: Mapping[str, tuple[float, float]] | None = None,
    progress: Callable[[str], None] = lambda label: None,
) -> Associations:
    """Estimate the odds ratio of every exposure with every outcome, crude and adjusted.

    Parameters
    ----------
    table : DataFrame
        As `analysis.cohort.Cohort.analysed`.
    covariates : sequence of str
        Empty for crude models only.
    exposures, outcomes : sequence of str
    cuts : dict, optional
        Fixed cuts by exposure instead of tertiles.
    progress : callable
        Called with each model's name.
    """
    rows = []
    nothing = Covariates(table, ())
    for exposure in exposures:
        groups = tertiles(table[exposure].to_numpy(dtype=float), (cuts or {}).get(exposure))
        others = [name for name in covariates if name != exposure]
        columns = Covariates(table, others)
        for outcome in outcomes:
            progress(f"{exposure}, {outcome}")
            rows.append(associate(table, exposure, outcome, groups, nothing, "crude"))
            if others:
                rows.append(associate(table, exposure, outcome, groups, columns, "adjusted"))
    return Associations(tuple(rows))


def associate(
    table: pd.DataFrame,
    exposure: str,
    outcome: str,
    groups: Tertiles,
    covariates: Sequence[str] | Covariates,
    model: str,
) -> Association:
    """Estimate one odds ratio; see `associations`. Columns of covariates that were made before save time."""
    columns = covariates if isinstance(covariates, Covariates) else Covariates(table, covariates)
    values = table[outcome].to_numpy(dtype=float, na_value=np.nan)
    rows = columns.known & np.isfinite(values) & ((groups.group == 0) | (groups.group == 2))
    high = (groups.group[rows] == 2).astype(float)
    events = values[rows]
    empty = Association(
        exposure=exposure,
        outcome=outcome,
        model=model,
        n_low=int((high == 0).sum()),
        n_high=int((high == 1).sum()),
        events_low=int(events[high == 0].sum()),
        events_high=int(events[high == 1].sum()),
        low_cut=groups.low_cut,
        high_cut=groups.high_cut,
        note=groups.note,
    )
    return estimate_odds_ratio(empty, high, events, columns.of(rows))


def too_many(regressors: Vector) -> bool:
    """Whether a model has more coefficients than half the people, shape (n, k): any penalised estimate is arbitrary."""
    return regressors.shape[1] + 1 > len(regressors) / 2


def estimate_odds_ratio(empty: Association, high: Vector, events: Vector, design: Design) -> Association:
    """Fill in an association's estimate, by maximum likelihood or, if that fails or is unsafe, by Firth's method.

    Parameters
    ----------
    empty : Association
        Association that holds its counts, and perhaps a note on the groups.
    high, events : ndarray, shape (n,)
        0 or 1.
    design : Design
        Covariates of the same people.
    """
    notes = [*([empty.note] if empty.note else []), *design.notes]
    total = int(events.sum())
    if min(empty.n_low, empty.n_high) == 0:
        return replace(empty, note="; ".join([*notes, "a group of nobody: not estimable"]))
    if total in (0, len(events)):
        return replace(empty, note="; ".join([*notes, "no events" if total == 0 else "everyone has the outcome"]))
    model = design.beside(high)
    regressors = model.values
    if too_many(regressors):
        return replace(empty, note="; ".join([*notes, TOO_MANY]))
    inflation = model.inflation
    empty = replace(empty, variance_inflation=inflation)
    if np.isinf(inflation):
        return replace(empty, note="; ".join([*notes, "exposure collinear with the covariates: not estimable"]))
    if inflation > LARGE_INFLATION:
        notes.append(f"variance inflation {inflation:.0f}: the covariates nearly determine the exposure")
    common = total / len(events) > _COMMON
    few = min(total, len(events) - total) < EVENTS_PER_COEFFICIENT * regressors.shape[1]
    cells = (empty.events_low, empty.events_high, empty.n_low - empty.events_low, empty.n_high - empty.events_high)
    reason = "an empty cell" if 0 in cells else "fewer than 5 events per coefficient" if few else ""
    if not reason:
        alone = regressors.shape[1] == 1
        rows = _collapse(high, events) if alone else (regressors, events, None)
        shared = None if alone else model.standardised
        try:
            fit = fit_logistic(rows[0], rows[1], weights=rows[2], standardised=shared)
        except np.linalg.LinAlgError:
            return replace(empty, note="; ".join([*notes, "exposure collinear with the covariates: not estimable"]))
        low, high_end = None, None
        if not fit.separated:
            low, high_end = profile_interval(fit, rows[0], rows[1], 0, weights=rows[2], standardised=shared)
        if low is not None and high_end is not None:
            without = None
            if shared is not None:
                start = np.delete(fit.coefficients, 1)
                start[0] += fit.coefficients[1] * high.mean()
                without = fit_logistic(regressors[:, 1:], events, start=start, standardised=shared.without(0))
            ratio_p = likelihood_ratio_p(fit, without) if without else _null_ratio_p(fit.log_likelihood, events)
            ratio = float(np.exp(fit.coefficients[1]))
            return replace(
                empty,
                odds_ratio=ratio,
                ci_low=float(np.exp(low)),
                ci_high=float(np.exp(high_end)),
                p_value=float(fit.p_values[1]),
                p_likelihood_ratio=ratio_p,
                converged=fit.converged,
                method="maximum likelihood",
                e_value=e_value(ratio, common),
                e_value_ci=e_value_of_interval(float(np.exp(low)), float(np.exp(high_end)), common),
                note="; ".join(notes),
            )
        reason = "separated events"
    notes.append(f"{reason}: Firth's penalised likelihood")
    penalised = firth(regressors, events, 0, standardised=model.standardised)
    if not penalised.converged:
        return replace(empty, note="; ".join([*notes, "which did not converge"]))
    ratio = float(np.exp(penalised.coefficient))
    if penalised.low is None or penalised.high is None:
        notes.append("an end of the interval is not finite")
    ends = [float("nan") if end is None else float(np.exp(end)) for end in (penalised.low, penalised.high)]
    return replace(
        empty,
        odds_ratio=ratio,
        ci_low=ends[0],
        ci_high=ends[1],
        p_value=penalised.p_value,
        p_likelihood_ratio=penalised.p_value,
        converged=True,
        method="firth",
        e_value=e_value(ratio, common),
        e_value_ci=e_value_of_interval(ends[0], ends[1], common),
        note="; ".join(notes),
    )


def _collapse(high: Vector, events: Vector) -> tuple[Vector, Vector, Vector]:
    """Represent a two-by-two table as two weighted rows: the same likelihood with thousands of times less data."""
    counts = np.array([(high == 0).sum(), (high == 1).sum()], dtype=float)
    shares = np.array([events[high == 0].mean(), events[high == 1].mean()])
    return np.array([[0.0], [1.0]]), shares, counts


def _null_ratio_p(log_likelihood: float, events: Vector) -> float:
    share = float(events.mean())
    null = len(events) * (share * np.log(share) + (1 - share) * np.log(1 - share))
    return float(chi2_tail(max(0.0, 2.0 * (log_likelihood - null)), 1))
