"""Agreement of two measures: Pearson, Spearman, Lin's concordance, Bland and Altman's limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.distributions import normal_quantile

__all__ = ["Agreement", "agreement", "line_and_limits", "fisher_interval"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Agreement of two measures.

    Attributes
    ----------
    n : int
        Number of pairs with both measures.
    pearson, pearson_low, pearson_high : float
        Pearson's correlation with its interval by Fisher's z, standard error 1/sqrt(n - 3).
    spearman : float
    slope, intercept : float
        Least squares regression of the second measure on the first.
    concordance : float
        Lin, Biometrics 1989;45:255-268, with variances over n.
    bias, limit_low, limit_high : float
        Mean difference first minus second, and mean +- 1.96 SD
        (Bland & Altman, Lancet 1986;327:307-310).
    """

    n: int
    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    slope: float
    intercept: float
    concordance: float
    bias: float
    limit_low: float
    limit_high: float

    @property
    def summary(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([vars(self)])


def agreement(first: Vector, second: Vector) -> Agreement:
    """Compare two measures of the same people; see `line_and_limits`, to which this adds Spearman's correlation."""
    found = line_and_limits(first, second)
    if not np.isfinite(found.pearson):
        return found
    both = np.isfinite(first) & np.isfinite(second)
    ranks = [pd.Series(values[both]).rank() for values in (first, second)]
    return replace(found, spearman=float(np.corrcoef(*ranks)[0, 1]))


def line_and_limits(first: Vector, second: Vector) -> Agreement:
    """Compare two measures of the same people by all but their ranks, whose sorting takes longer than the rest.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Pairs with a NaN are left out. With fewer than 4 pairs, or a constant
        measure, every statistic is NaN.
    """
    both = np.isfinite(first) & np.isfinite(second)
    x, y = first[both], second[both]
    n = len(x)
    if n < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Agreement(n, *[float("nan")] * 10)
    r = float(np.corrcoef(x, y)[0, 1])
    low, high = fisher_interval(r, n)
    slope = r * float(y.std() / x.std())
    difference = x - y
    bias, spread = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    covariance = float(np.mean((x - x.mean()) * (y - y.mean())))
    return Agreement(
        n=n,
        pearson=r,
        pearson_low=low,
        pearson_high=high,
        spearman=float("nan"),
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        concordance=float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)),
        bias=bias,
        limit_low=bias - spread,
        limit_high=bias + spread,
    )


def fisher_interval(r: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a correlation by Fisher's z, standard error 1/sqrt(n - 3)."""
    if abs(r) >= 1.0:
        return r, r
    half = float(normal_quantile(0.5 + level / 2)) / np.sqrt(n - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))
