"""Two imaging visits: how well a measure repeats, how it changes, and what its error does to odds ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtri

from analysis.distributions import normal_quantile
from analysis.mixed_linear import fit_linear_mixed

__all__ = ["Change", "Repeatability", "change_between_visits", "repeat_table", "repeatability", "undiluted"]

Vector = NDArray[np.float64]

_Z = normal_quantile(0.975)
MEASURES = (
    "tmv_cm3",
    "pa_ratio",
    "lr_asymmetry",
    "quadriceps_cm3",
    "hamstrings_cm3",
    "muscle_dixon_fat_core",
    "muscle_fat_fraction",
)
_FEWEST = 10


@dataclass(frozen=True)
class Repeatability:
    """Agreement of repeated measurements of the same people.

    Attributes
    ----------
    n : int
    icc, icc_low, icc_high : float
        ICC(2,1): two-way random effects, absolute agreement, one measurement
        (Shrout & Fleiss, Psychol Bull 1979;86:420-428), with its 95% interval
        (McGraw & Wong, Psychol Methods 1996;1:30-46).
    within_sd : float
        SD of a person's measurements, after the mean difference of the visits.
    smallest_change : float
        Smallest detectable change of one person: 1.96 sqrt(2) times ``within_sd``.
    bias, limit_low, limit_high : float
        Second minus first, with Bland and Altman's limits.
    """

    n: int
    icc: float
    icc_low: float
    icc_high: float
    within_sd: float
    smallest_change: float
    bias: float
    limit_low: float
    limit_high: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


@dataclass(frozen=True)
class Change:
    """A mixed model with a random intercept for each person.

    Attributes
    ----------
    n, people : int
        Measurements and people.
    slope, low, high : float
        Change per unit of time, with Wald's 95% interval.
    between_sd, within_sd : float
    """

    n: int
    people: int
    slope: float
    low: float
    high: float
    between_sd: float
    within_sd: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


def repeatability(values: Vector) -> Repeatability:
    """Compare repeated measurements.

    Parameters
    ----------
    values : ndarray, shape (people, visits)
        Without NaN. Bias and limits are of the first two visits.
    """
    n, k = values.shape
    people, visits = values.mean(axis=1), values.mean(axis=0)
    residual = values - people[:, None] - visits[None, :] + values.mean()
    ms_people = k * people.var(ddof=1)
    ms_visits = n * visits.var(ddof=1)
    ms_error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    icc = (ms_people - ms_error) / (ms_people + (k - 1) * ms_error + k * (ms_visits - ms_error) / n)
    a = k * icc / (n * (1 - icc))
    b = 1 + k * icc * (n - 1) / (n * (1 - icc))
    freedom = (a * ms_visits + b * ms_error) ** 2 / (
        (a * ms_visits) ** 2 / (k - 1) + (b * ms_error) ** 2 / ((n - 1) * (k - 1))
    )
    upper, lower = fdtri(n - 1, freedom, 0.975), fdtri(freedom, n - 1, 0.975)
    spread = k * ms_visits + (k * n - k - n) * ms_error
    low = n * (ms_people - upper * ms_error) / (upper * spread + n * ms_people)
    high = n * (lower * ms_people - ms_error) / (spread + n * lower * ms_people)
    difference = values[:, 1] - values[:, 0]
    bias, half = float(difference.mean()), _Z * float(difference.std(ddof=1))
    within = float(np.sqrt(ms_error))
    return Repeatability(n, float(icc), float(low), float(high), within, _Z * np.sqrt(2) * within,
                         bias, bias - half, bias + half)  # fmt: skip


def change_between_visits(values: Vector, time: Vector, person: NDArray[np.intp]) -> Change:
    """Fit the mixed model by restricted maximum likelihood. People with one visit count too.

    Parameters
    ----------
    values, time : ndarray, shape (n,)
        Measurements, and when they were made.
    person : ndarray of int, shape (n,)
        0 to people - 1.
    """
    found = fit_linear_mixed(values, time[:, None], person)
    slope, half = float(found.coefficients[1]), _Z * float(found.standard_errors[1])
    return Change(found.n, found.groups, slope, slope - half, slope + half, found.between_sd, found.within_sd)


def repeat_table(repeats: pd.DataFrame) -> pd.DataFrame:
    """Repeatability and change of every measure.

    Parameters
    ----------
    repeats : DataFrame
        ``eid, visit`` (number) and measures, a row per study.

    Returns
    -------
    DataFrame
        ``measure``, the columns of `Repeatability`, and ``change, change_low,
        change_high`` between visits by the mixed model, in which people with
        one visit count too.
    """
    rows = []
    visits = sorted(repeats["visit"].unique())
    if len(visits) < 2:  # who was imaged twice is not among the analysed people
        return pd.DataFrame()
    first, second = visits[:2]
    both = repeats[repeats["visit"].isin([first, second])]
    for measure in MEASURES:
        if measure not in both:
            continue
        known = both.dropna(subset=[measure])
        wide = known.pivot(index="eid", columns="visit", values=measure)
        wide = wide.reindex(columns=[first, second]).dropna()
        # Equal values at both visits are a copy, and no repeated measurement.
        if len(wide) < _FEWEST or (wide[first] == wide[second]).all():
            continue
        codes = pd.factorize(known["eid"])[0]
        change = change_between_visits(
            known[measure].to_numpy(dtype=float), (known["visit"] == second).to_numpy(dtype=float), codes
        )
        found = repeatability(wide[[first, second]].to_numpy(dtype=float))
        rows.append({"measure": measure, **vars(found)}
                    | {"change": change.slope, "change_low": change.low, "change_high": change.high})  # fmt: skip
    return pd.DataFrame(rows)


def undiluted(log_odds: float, standard_error: float, error_sd: float, conditional_sd: float) -> tuple[float, float]:
    """Correct a log odds ratio for random error of its exposure, by regression calibration.

    Parameters
    ----------
    log_odds, standard_error : float
        Per unit of the exposure as measured.
    error_sd : float
        SD of the error of one measurement: `Repeatability.within_sd`, or that of the network's model card.
    conditional_sd : float
        SD of the measured exposure given the covariates.

    Returns
    -------
    (log_odds, standard_error)
        Divided by the share of the conditional variance that is not error (Rosner et al., Stat Med
        1989;8:1051-1069); the error's SD counts as known.
    """
    share = 1.0 - (error_sd / conditional_sd) ** 2
    if share <= 0:
        return float("nan"), float("nan")
    return log_odds / share, standard_error / share
