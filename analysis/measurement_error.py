"""Odds ratios without the dilution by random error of the exposure: regression calibration and SIMEX.

The error of one measurement is known from repeated imaging (within-person SD), from the user, or from a network's
results on held-out people. Regression calibration divides by the reliability given the covariates (Rosner et al., Stat
Med 1989;8:1051-1069). SIMEX adds more error, sees how the estimate falls, and extrapolates to none (Cook & Stefanski,
J Am Stat Assoc 1994;89:1314-1328) along the curve that the estimate follows in a linear model, with Stefanski and
Cook's variance (J Am Stat Assoc 1995;90:1247-1256).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.design import Covariates, exposure_sd
from analysis.distributions import normal_quantile
from analysis.errors import DataError
from analysis.logistic import evaluate, fit_logistic, information_of, refitted
from analysis.odds_ratios import EVENTS_PER_COEFFICIENT
from analysis.options import FILE
from analysis.repeatability import undiluted
from analysis.tables import read_table
from analysis.threads import one_blas_thread

__all__ = ["KnownError", "conditional_sd", "known_errors", "simex", "undiluted_associations"]

Vector = NDArray[np.float64]

_Z = normal_quantile(0.975)
_ADDED = (0.5, 1.0, 1.5, 2.0)  # variance of the added error, in that of the error
_COPIES = 10
# Columns of a bundle's held-out results, and the measure whose error they are.
_HELD_OUT = {"tmv_relative_error": "tmv_cm3", "pa_relative_error": "pa_ratio"}
_FEWEST_HELD_OUT = 10


@dataclass(frozen=True)
class KnownError:
    """Random error of one measurement.

    Attributes
    ----------
    sd : float
        In the measure's unit.
    source : str
        Where it is from, in words.
    """

    sd: float
    source: str


def known_errors(
    table: pd.DataFrame, repeats: pd.DataFrame | None, given: Mapping[str, str]
) -> dict[str, list[KnownError]]:
    """Errors by measure, from repeated imaging and from ``--measurement-error``.

    Parameters
    ----------
    table : DataFrame
        Whose means turn per cent into the measure's unit.
    repeats : DataFrame or None
        From `analysis.repeatability.repeat_table`.
    given : mapping of str to str
        Measure to SD or per cent; or a file to `analysis.options.FILE`.

    Raises
    ------
    DataError
        If a measure is not in the table, or a file has no errors.
    """
    made: dict[str, list[KnownError]] = {}
    for row in [] if repeats is None else repeats.to_dict("records"):
        names = [str(row["measure"])] + (["lr_asymmetry_mri"] if row["measure"] == "lr_asymmetry" else [])
        for name in names:
            made.setdefault(name, []).append(KnownError(float(row["within_sd"]), "repeated imaging"))
    for name, value in given.items():
        if value == FILE:
            for measure, share in _held_out(Path(name)).items():
                sd = share * float(table[measure].mean())
                made.setdefault(measure, []).append(KnownError(sd, "held-out people"))
            continue
        if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
            raise DataError("--measurement-error", f"no measure {name}", "a measured column", "Correct its name.")
        number = float(value.removesuffix("%"))
        sd = number / 100 * float(table[name].mean()) if value.endswith("%") else number
        made.setdefault(name, []).append(KnownError(sd, "given"))
    known = {name: [error for error in found if error.sd > 0] for name, found in made.items()}  # NaN is not above 0
    return {name: found for name, found in known.items() if found}


def undiluted_associations(
    table: pd.DataFrame,
    covariates: Sequence[str],
    exposures: Sequence[str],
    outcomes: Sequence[str],
    errors: Mapping[str, Sequence[KnownError]],
    seed: int = 1,
) -> pd.DataFrame:
    """Correct the odds ratios per SD of the exposure as measured.

    Returns
    -------
    DataFrame
        ``exposure, source, outcome, n, events, error_sd, reliability,
        odds_ratio_measured``; by regression calibration ``odds_ratio, ci_low,
        ci_high``; ``simex, simex_low, simex_high``; ``note``.
    """
    rows = []
    for exposure in exposures:
        shared = Covariates(table, [name for name in covariates if name != exposure])
        values = table[exposure].to_numpy(dtype=float, na_value=np.nan)
        sd = exposure_sd(values)
        for error in errors.get(exposure, ()):
            for outcome in outcomes:
                events = table[outcome].to_numpy(dtype=float, na_value=np.nan)
                known = shared.known & np.isfinite(values) & np.isfinite(events)
                about = {"exposure": exposure, "source": error.source, "outcome": outcome, "n": int(known.sum()),
                         "events": int(events[known].sum()), "error_sd": error.sd}  # fmt: skip
                found = _corrected(values[known], sd, events[known], shared.of(known).values, error.sd, seed)
                rows.append(about | found)
    return pd.DataFrame(rows)


def conditional_sd(values: Vector, design: Vector) -> float:
    """SD of a measure given the covariates: of the residuals of a linear regression."""
    whole = np.column_stack([np.ones(len(values)), design])
    rest = values - whole @ np.linalg.lstsq(whole, values, rcond=None)[0]
    return float(np.sqrt((rest**2).sum() / max(len(values) - whole.shape[1], 1)))


@one_blas_thread
def simex(values: Vector, outcome: Vector, design: Vector, error_sd: float, seed: int = 1) -> tuple[float, float]:
    """Log odds per unit of the exposure without its error, and the standard error.

    Parameters
    ----------
    values, outcome : ndarray, shape (n,)
    design : ndarray, shape (n, k)
        Covariates, without error.
    error_sd : float
    seed : int

    Returns
    -------
    (log_odds, standard_error)
        NaN if the error is as large as what the covariates leave of the exposure.
    """
    if error_sd >= conditional_sd(values, design):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    centre, scale = float(values.mean()), float(values.std())
    x, error = (values - centre) / scale, error_sd / scale
    others = (design - design.mean(axis=0)) / np.where(design.std(axis=0) > 0, design.std(axis=0), 1.0)
    plain = fit_logistic(np.column_stack([x, others]), outcome)
    rows = np.vstack([np.ones(len(x)), x, others.T])
    every, start = np.ones(len(x)), plain.coefficients
    estimates, spreads = [float(start[1])], [float(plain.covariance[1, 1])]
    for added in _ADDED:
        again, variances = [], []
        for _ in range(_COPIES):
            rows[1] = x + np.sqrt(added) * error * rng.standard_normal(len(x))
            # The estimate falls with the error, so the last one is the best start.
            start = refitted(rows, outcome, every, start, steps=2)
            fitted = evaluate(start @ rows, outcome, every)[1]
            again.append(float(start[1]))
            variances.append(float(np.linalg.inv(information_of(rows, fitted * (1 - fitted)))[1, 1]))
        estimates.append(float(np.mean(again)))
        spreads.append(float(np.mean(variances)) - float(np.var(again, ddof=1)))
    # In a linear model the estimate is proportional to 1 / (total + added error), so this is close to a straight line.
    total = (conditional_sd(x, others) / error) ** 2
    at = 1.0 / (total + np.array([0.0, *_ADDED]))
    away = 1.0 / (total - 1.0) - at  # 0 without any error
    away /= away.max()
    estimate, variance = float(np.polyfit(away, estimates, 1)[-1]), float(np.polyfit(away, spreads, 2)[-1])
    return estimate / scale, float(np.sqrt(variance)) / scale if variance > 0 else float("nan")


def _corrected(x: Vector, sd: float, events: Vector, design: Vector, error_sd: float, seed: int) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(
        ("reliability", "odds_ratio_measured", "odds_ratio", "ci_low", "ci_high", "simex", "simex_low", "simex_high"),
        float("nan"),
    )
    fewer = min(events.sum(), len(events) - events.sum())
    if fewer < EVENTS_PER_COEFFICIENT * (1 + design.shape[1]) or np.ptp(x) == 0:
        return row | {"note": "too few events: not estimable"}
    given = conditional_sd(x, design)
    try:
        fit = fit_logistic(np.column_stack([x, design]), events)
    except np.linalg.LinAlgError:
        return row | {"note": "exposure collinear with the covariates: not estimable"}
    row |= {"reliability": 1 - (error_sd / given) ** 2, "odds_ratio_measured": float(np.exp(fit.coefficients[1] * sd))}
    if fit.separated:
        return row | {"odds_ratio_measured": float("nan"), "note": "separated events: not estimable"}
    if error_sd >= given:
        return row | {"note": "the error is as large as what the covariates leave of the exposure: no correction"}
    log_odds, error = undiluted(float(fit.coefficients[1]), float(fit.standard_errors[1]), error_sd, given)
    row |= _with_ends(("odds_ratio", "ci_low", "ci_high"), log_odds * sd, error * sd)
    log_odds, error = simex(x, events, design, error_sd, seed)
    row |= _with_ends(("simex", "simex_low", "simex_high"), log_odds * sd, error * sd)
    weak = "reliability below 0.5: depends on the size of the error" if error_sd**2 > given**2 / 2 else ""
    return row | {"note": weak}


def _with_ends(names: tuple[str, str, str], log_odds: float, error: float) -> dict[str, float]:
    ends = (log_odds, log_odds - _Z * error, log_odds + _Z * error)
    return {name: float(np.exp(value)) for name, value in zip(names, ends, strict=True)}


def _held_out(path: Path) -> dict[str, float]:
    """SD of the relative errors of a bundle's held-out results, by measure."""
    table = read_table(path, ())
    shares = {}
    for column, measure in _HELD_OUT.items():
        values = pd.to_numeric(table[column], errors="coerce").dropna() if column in table else pd.Series(dtype=float)
        if len(values) >= _FEWEST_HELD_OUT:
            shares[measure] = float(values.std())
    if not shares:
        raise DataError(
            path.name,
            f"no errors of {_FEWEST_HELD_OUT} or more people",
            f"columns {' and '.join(_HELD_OUT)}",
            "Give the phenotypes.csv of a bundle's held-out results.",
        )
    return shares
