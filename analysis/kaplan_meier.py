"""Kaplan and Meier's survival curves, with Greenwood's interval and numbers at risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.distributions import chi2_tail, normal_quantile

__all__ = ["SurvivalCurve", "log_rank_p", "survival_curve"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class SurvivalCurve:
    """Share alive after each time of death. Every array has shape (times,).

    Attributes
    ----------
    time, alive : ndarray
    low, high : ndarray
        95% interval on the logarithm of survival, R's default.
    at_risk : ndarray
        People just before each time.
    """

    time: Vector
    alive: Vector
    low: Vector
    high: Vector
    at_risk: NDArray[np.intp]

    @property
    def summary(self) -> pd.DataFrame:
        """A row per time of death."""
        return pd.DataFrame(vars(self))


def survival_curve(time: Vector, died: Vector) -> SurvivalCurve:
    """Estimate the curve.

    Parameters
    ----------
    time, died : ndarray, shape (n,)
        Length of follow-up; 1 for a death.
    """
    moments, deaths = np.unique(time[died == 1], return_counts=True)
    at_risk = len(time) - np.searchsorted(np.sort(time), moments, side="left")
    alive = np.asarray(np.cumprod(1.0 - deaths / at_risk), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.cumsum(deaths / (at_risk * (at_risk - deaths).astype(float))))
        low, high = (alive * np.exp(sign * normal_quantile(0.975) * error) for sign in (-1, 1))
    return SurvivalCurve(moments, alive, low, np.minimum(high, 1.0), at_risk)


def log_rank_p(time: Vector, died: Vector, group: NDArray[np.integer], groups: Sequence[int]) -> float:
    """p value of the log-rank test between groups (R's ``survdiff``).

    A group of which nobody is at risk at any death does not count. NaN with fewer than two groups.
    """
    if not died.any():
        return float("nan")
    first = time[died == 1].min()
    groups = [name for name in groups if (time[group == name] >= first).any()]
    if len(groups) < 2:
        return float("nan")
    moments = np.unique(time[died == 1])
    observed, at_risk = np.empty((len(groups), len(moments))), np.empty((len(groups), len(moments)))
    for i, name in enumerate(groups):
        own = group == name
        at_risk[i] = own.sum() - np.searchsorted(np.sort(time[own]), moments, side="left")
        observed[i] = np.bincount(np.searchsorted(moments, time[own & (died == 1)]), minlength=len(moments))
    n, d = at_risk.sum(axis=0), observed.sum(axis=0)
    shares = at_risk / n
    excess = (observed - d * shares).sum(axis=1)[:-1]
    factor = d * (n - d) / np.maximum(n - 1, 1)
    covariance = np.diag((factor * shares).sum(axis=1)) - (shares * factor) @ shares.T
    statistic = float(excess @ np.linalg.solve(covariance[:-1, :-1], excess))
    return float(chi2_tail(statistic, len(groups) - 1))
