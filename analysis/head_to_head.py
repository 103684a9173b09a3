"""Is the P/A ratio a better marker than muscle mass? Models with one marker more, side by side.

A marker is worth measuring if it improves on what is known without it. Each row adds one marker to the
covariates and asks how much better people with the outcome are told from those without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.cox import fit_cox
from analysis.definitions import fat_measure
from analysis.design import Covariates, beside
from analysis.discrimination import (
    brier_score,
    calibration_by_tenth,
    concordance_index,
    delong,
    net_benefit,
)
from analysis.distributions import chi2_tail, normal_quantile
from analysis.logistic import fit_logistic
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.optimism import Fitted, optimism_of_cox, resampled
from analysis.survival import FollowUp

__all__ = ["BASE", "MODELS", "OUTCOMES", "HeadToHead", "head_to_head"]

Vector = NDArray[np.float64]

BASE = "covariates"
# Name of the model and the markers that it adds to the covariates.
MODELS: dict[str, tuple[str, ...]] = {
    BASE: (),
    "+ ALMI": ("almi",),
    "+ TMV": ("tmv_cm3",),
    "+ TVI": ("tvi_cm3_per_cm2",),
    "+ P/A": ("pa_ratio",),
    "+ P/A and TMV": ("pa_ratio", "tmv_cm3"),
    "+ muscle fat": ("muscle_fat_fraction",),
}
# Outcomes that no marker defines come first; then those that ALMI or grip defines, without that marker.
OUTCOMES = ("falls", "mortality", "weak_grip", "sarcopenia", "low_muscle_mass")
_CIRCULAR = {"low_muscle_mass": {"almi"}, "sarcopenia": {"almi"}}
_STRENGTH = {"grip_kg", "specific_strength_kg_per_l", "thigh_strength_kg_per_l"}
_CIRCULAR |= {"weak_grip": _STRENGTH, "sarcopenia": _CIRCULAR["sarcopenia"] | _STRENGTH}
# Thresholds of the decision curve, as multiples of the share with the outcome.
_THRESHOLDS = (0.5, 1.0, 1.5, 2.0, 3.0)
_Z = normal_quantile(0.975)
_FEWEST_EVENTS = 20


@dataclass(frozen=True)
class HeadToHead:
    """Tables of the comparison.

    Attributes
    ----------
    models : DataFrame
        ``outcome, measure`` (AUC or C), ``model, against, n, events, value,
        change, ci_low, ci_high, chi_square, p_likelihood_ratio, brier, optimism,
        brier_optimism, interval, note``. ``change`` is against ``against``.
        Optimism is removed from ``value`` and ``change`` where ``optimism`` is
        given, and from ``brier`` where ``brier_optimism`` is.
    calibration, decision : DataFrame
        By tenth of risk; net benefit by threshold. Both are apparent, of the
        people whom the models were fitted to. Empty without bootstrap.
    """

    models: pd.DataFrame
    calibration: pd.DataFrame
    decision: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """The models."""
        return self.models


def head_to_head(
    table: pd.DataFrame,
    covariates: Sequence[str],
    followed: FollowUp | None = None,
    *,
    outcomes: Sequence[str] = OUTCOMES,
    models: Mapping[str, tuple[str, ...]] = MODELS,
    bootstraps: int = 0,
    seed: int = 1,
    progress: Callable[[str], None] = lambda label: None,
) -> HeadToHead:
    """Compare the markers.

    Parameters
    ----------
    table : DataFrame
        As `analysis.cohort.Cohort.analysed`.
    covariates : sequence of str
        The base model.
    followed : FollowUp, optional
        For Harrell's C of death with its date.
    outcomes : sequence of str
    models : mapping of str to tuple of str
        Markers that each model adds; linear, per SD.
    bootstraps : int
        0: intervals by DeLong's method, no optimism. Else Harrell's optimism
        and the percentile interval moved by it (Noma et al., Stat Med
        2021;40:5691-5701); calibration and decision curves too.
    seed : int
    progress : callable
        Called with what is computed next.

    Notes
    -----
    Every model of an outcome has the same people: those with every marker.
    """
    fat = fat_measure(table)
    models = {
        name: tuple(fat if mark == "muscle_fat_fraction" else mark for mark in marks) for name, marks in models.items()
    }
    there = {name: marks for name, marks in models.items() if all(mark in table and table[mark].notna().any()
                                                                  for mark in marks)}  # fmt: skip
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    benefits: list[dict[str, object]] = []
    for outcome in outcomes:
        if outcome not in table:
            continue
        progress(f"markers, {outcome}")
        chosen = {name: marks for name, marks in there.items() if not set(marks) & _CIRCULAR.get(outcome, set())}
        known, events = _complete(table, outcome, chosen)
        base = Covariates(table, [name for name in covariates if name not in _CIRCULAR.get(outcome, set())])
        known &= base.known
        happened = events[known]
        shared = base.of(known).values
        fewer = min(happened.sum(), len(happened) - happened.sum())
        if fewer < max(_FEWEST_EVENTS, EVENTS_PER_COEFFICIENT * (shared.shape[1] + 1)):
            rows.append({"outcome": outcome, "measure": "AUC", "model": BASE, "n": len(happened),
                         "events": int(happened.sum()), "note": "too few events to compare models"})  # fmt: skip
            continue
        fitted, left_out = {}, []
        for name, marks in chosen.items():
            if (one := _fit(table, known, shared, marks, happened)) is None:
                left_out.append(name)
            else:
                fitted[name] = one
        rows += [{"outcome": outcome, "measure": "AUC", "model": name, "against": BASE, "n": len(happened),
                  "events": int(happened.sum()), "note": "constant, or follows from the covariates: left out"}
                 for name in left_out]  # fmt: skip
        rows += _compared(outcome, fitted, happened, bootstraps, rng)
        if bootstraps:
            for name, one in fitted.items():
                curves += [{"outcome": outcome, "model": name, **row} for row in
                           calibration_by_tenth(one.risk, happened)]  # fmt: skip
                benefits += _decisions(outcome, name, one.risk, happened)
            benefits += _decisions(outcome, "everybody", np.ones(len(happened)), happened)
    if followed is not None and followed.given:
        progress("markers, dated deaths")
        rows += _survival(table, covariates, followed, there, bootstraps, rng)
    columns = ["outcome", "measure", "model", "against", "n", "events", "value", "change", "ci_low", "ci_high",
               "chi_square", "p_likelihood_ratio", "brier", "optimism", "brier_optimism", "interval",
               "note"]  # fmt: skip
    risks = ["outcome", "model", "tenth", "n", "predicted", "observed", "ci_low", "ci_high"]
    return HeadToHead(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(curves, columns=risks),
        pd.DataFrame(benefits, columns=["outcome", "model", "threshold", "net_benefit"]),
    )


def _complete(
    table: pd.DataFrame, outcome: str, models: Mapping[str, tuple[str, ...]]
) -> tuple[NDArray[np.bool_], Vector]:
    events = table[outcome].to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(events)
    for mark in {mark for marks in models.values() for mark in marks}:
        known &= np.isfinite(table[mark].to_numpy(dtype=float, na_value=np.nan))
    return known, events


def _fit(
    table: pd.DataFrame, known: NDArray[np.bool_], shared: Vector, marks: tuple[str, ...], events: Vector
) -> Fitted | None:
    """The model; None if a marker is constant or follows from the covariates, so that it cannot add anything."""
    columns = [table[mark].to_numpy(dtype=float, na_value=np.nan)[known] for mark in marks]
    if any(np.ptp(x) == 0 for x in columns):
        return None
    regressors = beside(shared, *((x - x.mean()) / x.std() for x in columns))
    try:
        fit = fit_logistic(regressors, events)
    except np.linalg.LinAlgError:
        return None
    return Fitted(regressors, fit)


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Each model against the covariates, and P/A with TMV against TMV alone."""
    pairs = [(name, BASE) for name in names if name != BASE]
    return pairs + ([("+ P/A and TMV", "+ TMV")] if {"+ P/A and TMV", "+ TMV"} <= set(names) else [])


def _compared(
    outcome: str, fitted: Mapping[str, Fitted], events: Vector, bootstraps: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    names = list(fitted)
    risks = np.array([one.risk for one in fitted.values()])
    areas, covariance = delong(risks, events)
    again = resampled(fitted, events, bootstraps, rng) if bootstraps else None
    optimism, brier_optimism = np.zeros(len(names)), np.zeros(len(names))
    if again is not None:
        optimism, brier_optimism = again.optimism, again.brier_optimism
    about = {"outcome": outcome, "measure": "AUC", "n": len(events), "events": int(events.sum())}
    rows: list[dict[str, object]] = []
    for name, against in [(BASE, ""), *_pairs(names)]:
        i, one = names.index(name), fitted[name]
        row = about | {"model": name, "against": against, "value": areas[i] - optimism[i],
                       "brier": brier_score(risks[i], events) - brier_optimism[i], "note": ""}  # fmt: skip
        row |= {"optimism": optimism[i], "brier_optimism": brier_optimism[i]} if again is not None else {}
        if against:
            j, other = names.index(against), fitted[against]
            change = areas[i] - areas[j] - (optimism[i] - optimism[j])
            if again is None:
                half = _Z * float(np.sqrt(max(0.0, covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])))
                ends, how = (change - half, change + half), "DeLong"
            else:
                ends = tuple(np.percentile(again.auc[:, i] - again.auc[:, j], [2.5, 97.5]) - optimism[i] + optimism[j])
                how = f"{bootstraps} bootstraps"
            more = len(one.fit.names) - len(other.fit.names)
            chi_square = max(0.0, 2 * (one.fit.log_likelihood - other.fit.log_likelihood))
            row |= {"change": change, "ci_low": ends[0], "ci_high": ends[1], "interval": how}
            row |= {"chi_square": chi_square, "p_likelihood_ratio": float(chi2_tail(chi_square, more))}
        rows.append(row)
    return rows


def _decisions(outcome: str, model: str, risk: Vector, events: Vector) -> list[dict[str, object]]:
    share = float(events.mean())
    thresholds = [multiple * share for multiple in _THRESHOLDS if multiple * share < 1]
    return [
        {"outcome": outcome, "model": model, "threshold": t, "net_benefit": net_benefit(risk, events, t)}
        for t in thresholds
    ]


def _survival(
    table: pd.DataFrame,
    covariates: Sequence[str],
    followed: FollowUp,
    models: Mapping[str, tuple[str, ...]],
    bootstraps: int,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """Harrell's C of Cox's models, with its jackknife interval, and optimism by a few bootstraps."""
    base = Covariates(table, covariates)
    known = base.known & np.isfinite(followed.years)
    marks = {mark: table[mark].to_numpy(dtype=float, na_value=np.nan) for ms in models.values() for mark in ms}
    for values in marks.values():
        known &= np.isfinite(values)
    time, died, shared = followed.years[known], followed.died[known], base.of(known).values
    if died.sum() < _FEWEST_EVENTS:
        return []
    designs, fits = {}, []
    for name, ms in models.items():
        design = beside(shared, *(marks[mark][known] for mark in ms))
        try:  # a marker that is constant or follows from the covariates, or a coefficient without end
            fit = fit_cox(time, died, design) if design.shape[1] else None
        except np.linalg.LinAlgError:
            fit = None
        if fit is not None:
            designs[name] = design
            fits.append(fit)
    if not designs:
        return []
    names = list(designs)
    risks = np.array([design @ fit.coefficients for design, fit in zip(designs.values(), fits, strict=True)])
    index = concordance_index(risks, time, died)
    optimism = optimism_of_cox(designs, time, died, rng) if bootstraps else np.full(len(names), np.nan)
    removed = np.nan_to_num(optimism)
    about = {"outcome": "mortality", "measure": "C", "n": len(time), "events": int(died.sum()), "note": ""}
    rows: list[dict[str, object]] = []
    for name, against in [(BASE, ""), *_pairs(names)]:
        if name not in names or (against and against not in names):
            continue
        i = names.index(name)
        row = about | {"model": name, "against": against, "value": index.values[i] - removed[i]}
        row |= {"optimism": optimism[i]}
        if against:
            j, v = names.index(against), index.covariance
            change = index.values[i] - index.values[j] - removed[i] + removed[j]
            half = _Z * float(np.sqrt(max(0.0, v[i, i] + v[j, j] - 2 * v[i, j])))
            chi_square = max(0.0, 2 * (fits[i].log_likelihood - fits[j].log_likelihood))
            more = len(fits[i].coefficients) - len(fits[j].coefficients)
            row |= {"change": change, "ci_low": change - half, "ci_high": change + half, "interval": "jackknife"}
            row |= {"chi_square": chi_square, "p_likelihood_ratio": float(chi2_tail(chi_square, more))}
        rows.append(row)
    return rows
