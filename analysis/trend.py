"""Age: groups, prevalence with a test for trend, and decline per decade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.distributions import chi2_tail, f_tail, t_tail
from analysis.splines import restricted_cubic_spline

__all__ = [
    "AGE_GROUPS",
    "YOUNGEST_GROUPED",
    "Bends",
    "Decline",
    "Trend",
    "age_group",
    "cochran_armitage",
    "decline_per_decade",
    "trend_as_printed",
]

_YOUNGEST = (40, 50, 60, 70, 80)
AGE_GROUPS = (*(f"{low}-{high - 1}" for low, high in pairwise(_YOUNGEST)), f"{_YOUNGEST[-1]}+")
"""Decades of life. The first is below the usual age limit of an analysis."""
YOUNGEST_GROUPED = _YOUNGEST[0]
"""Age in years below which people are in no group."""


@dataclass(frozen=True)
class Trend:
    """Cochran-Armitage test for a linear trend in proportions.

    Attributes
    ----------
    statistic : float
        Chi-square with one degree of freedom. The score's variance is divided by
        N, as in R's ``prop.trend.test``. Some texts use N - 1; their statistic
        is this times (N - 1) / N.
    p_value : float
    """

    statistic: float
    p_value: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


@dataclass(frozen=True)
class Decline:
    """A straight line fitted on age.

    Attributes
    ----------
    n : int
    per_decade, low, high : float
        Ten times the slope, and +- 1.96 standard errors (method, section 7).
    percent_per_decade : float
        Per cent of the mean.
    mean : float
    p_value : float
        p value of the slope, by Student's t.
    p_nonlinear : float
        F test of a natural cubic spline with four knots (5th, 35th, 65th and
        95th percentile of age) against the line; two degrees of freedom.
    """

    n: int
    per_decade: float
    low: float
    high: float
    percent_per_decade: float
    mean: float
    p_value: float
    p_nonlinear: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


def age_group(age: pd.Series) -> pd.Series:
    """Decade of life as an ordered category. Ages under 40 are missing."""
    return pd.cut(age, [*_YOUNGEST, np.inf], right=False, labels=list(AGE_GROUPS))


def cochran_armitage(
    events: NDArray[np.float64], totals: NDArray[np.float64], scores: Sequence[float] | None = None
) -> Trend:
    """Test the trend of ``events / totals`` over ordered groups.

    Parameters
    ----------
    events, totals : ndarray, shape (groups,)
        Empty groups are left out.
    scores : sequence of float, optional
        Scores of the groups. Default: 1, 2, 3, ...
    """
    score = np.arange(1.0, len(totals) + 1) if scores is None else np.asarray(scores, dtype=float)
    some = totals > 0
    events, totals, score = events[some], totals[some], score[some]
    n, p = totals.sum(), events.sum() / max(totals.sum(), 1)
    spread = float((totals * score**2).sum() - (totals * score).sum() ** 2 / max(n, 1))
    if p in (0, 1) or spread <= 0:
        return Trend(float("nan"), float("nan"))
    statistic = float((score * (events - totals * p)).sum() ** 2 / (p * (1 - p) * spread))
    return Trend(statistic, float(chi2_tail(statistic, 1)))


def trend_as_printed(
    events: NDArray[np.float64], totals: NDArray[np.float64], scores: Sequence[float] | None = None
) -> float:
    """The trend statistic as the paper prints it (method, section 8.14).

    Z = sum w_i (p_i - p) / sqrt(p (1 - p) sum w_i^2 / n_i), with p the overall
    share and w_i = 1, 2, 3, ... Its numerator does not weight the groups by
    their size, and its variance neither centres the weights nor accounts for p
    being estimated. It is not Cochran and Armitage's statistic, nor standard
    normal without a trend, so no p value is given.

    Parameters
    ----------
    events, totals : ndarray, shape (groups,)
        Empty groups are left out.
    scores : sequence of float, optional
        Weights w_i of the groups.
    """
    score = np.arange(1.0, len(totals) + 1) if scores is None else np.asarray(scores, dtype=float)
    some = totals > 0
    events, totals, score = events[some], totals[some], score[some]
    p = events.sum() / max(totals.sum(), 1)
    if p in (0, 1) or len(totals) < 2:
        return float("nan")
    spread = np.sqrt(p * (1 - p) * (score**2 / totals).sum())
    return float((score * (events / totals - p)).sum() / spread)


def decline_per_decade(values: NDArray[np.float64], age: NDArray[np.float64], bends: Bends | None = None) -> Decline:
    """Regress a measure on age in years by least squares. NaN are left out.

    Parameters
    ----------
    values, age : ndarray, shape (n,)
    bends : Bends, optional
        Shared by the measures of the same people; it saves the spline of age.
    """
    both = np.isfinite(values) & np.isfinite(age)
    y, x = values[both], age[both]
    n = len(y)
    if n < 3 or np.ptp(x) == 0:
        return Decline(n, *[float("nan")] * 7)
    centred = x - x.mean()
    squares = float(centred @ centred)
    slope = float(centred @ y) / squares
    residual = y - y.mean() - slope * centred
    error = float(np.sqrt(residual @ residual / (n - 2) / squares))
    p_value = float(2 * t_tail(abs(slope) / error, n - 2)) if error > 0 else float("nan")
    mean = float(y.mean())
    return Decline(
        n=n,
        per_decade=10 * slope,
        low=10 * (slope - 1.96 * error),
        high=10 * (slope + 1.96 * error),
        percent_per_decade=1000 * slope / mean if mean else float("nan"),
        mean=mean,
        p_value=p_value,
        p_nonlinear=_curve_p((bends or Bends()).of(x), residual),
    )


class Bends:
    """What a spline of age has that a straight line lacks: made once for the measures of the same people."""

    def __init__(self) -> None:
        self._age: NDArray[np.float64] | None = None
        self._basis: NDArray[np.float64] | None = None

    def of(self, age: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Orthonormal columns, shape (n, 2); None if the ages have too few values for a spline."""
        if self._age is None or not np.array_equal(self._age, age):
            self._age, self._basis = age, _bends(age)
        return self._basis


def _bends(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    try:
        bends = restricted_cubic_spline(x)[:, 1:]
    except ValueError:
        return None
    # Remove from the nonlinear terms what the line explains (Frisch, Waugh and Lovell). Two columns remain.
    line = np.column_stack([np.ones_like(x), (x - x.mean()) / x.std()])
    bends = bends - line @ np.linalg.lstsq(line, bends)[0]
    spread = bends.std(axis=0)
    return np.linalg.qr(bends / spread)[0] if (spread > 1e-9).all() else None


def _curve_p(bends: NDArray[np.float64] | None, residual: NDArray[np.float64]) -> float:
    """F test of the spline's nonlinear terms on the residuals of the line."""
    left = float(residual @ residual)
    if bends is None or left <= 0 or (freedom := len(residual) - 2 - bends.shape[1]) < 1:
        return float("nan")
    explained = float(((bends.T @ residual) ** 2).sum())
    between = (explained / bends.shape[1]) / ((left - explained) / freedom)
    return f_tail(between, bends.shape[1], freedom)
