"""Centiles that change with age and height, by the LMS method (Cole & Green, Stat Med 1992;11:1305-1319).

After the Box-Cox power L, a measure of median M and coefficient of variation S is normal. Here the logarithm
of M is a natural cubic spline of age with four knots, that of S a straight line, and L a constant, fitted
together by maximum likelihood. With height, M is proportional to a power of it, as in the reference equations of
spirometry (Quanjer et al., Eur Respir J 2012;40:1324-1343).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from analysis.splines import KNOT_PERCENTILES, restricted_cubic_spline
from analysis.threads import one_blas_thread

__all__ = ["FEWEST", "LmsFit", "centile", "fit_lms", "z_score"]

Vector = NDArray[np.float64]

FEWEST = 100
"""People of one sex below which no curve is fitted."""
# SD of the logarithms below which values are equal but for rounding.
_CONSTANT = 1e-6
_WORST = 1e10
# |L| below which the power is a logarithm.
_LOGARITHM = 1e-6


@dataclass(frozen=True)
class LmsFit:
    """L, M and S of a measure as functions of age.

    Attributes
    ----------
    power : float
        L.
    median : ndarray, shape (4,) or (5,)
        Coefficients of log M: intercept and spline of age; with height, its exponent.
    variation : ndarray, shape (2,)
        Coefficients of log S: intercept and slope on age in decades from the middle.
    knots : ndarray, shape (4,)
        Ages.
    middle, unit : float
        Age at which S has its intercept; unit of the measure inside the fit.
    log_likelihood : float
    n : int
    height_cm : float
        Height at which M holds; NaN if height is not in the model.
    """

    power: float
    median: Vector
    variation: Vector
    knots: Vector
    middle: float
    unit: float
    log_likelihood: float
    n: int
    height_cm: float = float("nan")

    @property
    def height_exponent(self) -> float:
        """Power of height to which M is proportional; NaN if height is not in the model."""
        return float(self.median[4]) if len(self.median) > 4 else float("nan")

    def at(self, age: Vector, height_cm: Vector | None = None) -> tuple[Vector, Vector, Vector]:
        """L, M and S at some ages, each of shape (ages,); at ``self.height_cm`` unless heights are given."""
        columns = [np.ones_like(age), _spline(age, self.knots, self.middle)]
        if len(self.median) > 4:
            columns.append(np.zeros_like(age) if height_cm is None else np.log(height_cm / self.height_cm))
        basis = np.column_stack(columns)
        spread = np.exp(self.variation[0] + self.variation[1] * (age - self.middle) / 10)
        return np.full(len(age), self.power), self.unit * np.exp(basis @ self.median), spread

    @property
    def summary(self) -> pd.DataFrame:
        """L, M and S at the knots."""
        power, median, spread = self.at(self.knots)
        return pd.DataFrame({"age": self.knots, "L": power, "M": median, "S": spread})


@one_blas_thread
def fit_lms(
    age: Vector,
    values: Vector,
    weights: Vector | None = None,
    start: LmsFit | None = None,
    height_cm: Vector | None = None,
) -> LmsFit:
    """Fit the curves by maximum likelihood.

    Parameters
    ----------
    age, values : ndarray, shape (n,)
        Values above 0; no NaN.
    weights : ndarray, shape (n,), optional
        How often each person counts.
    start : LmsFit, optional
        A fit to similar data, whose knots are kept.
    height_cm : ndarray, shape (n,), optional
        Without NaN; makes M depend on height.

    Raises
    ------
    ValueError
        If values are not above 0 or all equal, there are fewer than 100, or too few distinct ages.
    """
    if len(values) < FEWEST or not (values > 0).all():
        raise ValueError("LMS needs at least 100 values above 0")
    if np.log(values).std() < _CONSTANT:
        raise ValueError("LMS needs values that differ")
    n = len(values)
    if start is not None and weights is not None:  # a third of the people are not in a resampled cohort
        there = weights > 0
        age, values, weights = age[there], values[there], weights[there]
        height_cm = None if height_cm is None else height_cm[there]
    knots = np.percentile(age, KNOT_PERCENTILES) if start is None else start.knots
    middle = float(age.mean()) if start is None else start.middle
    unit = float(np.median(values)) if start is None else start.unit
    tall = float("nan")
    columns = [np.ones_like(age), _spline(age, knots, middle)]
    if height_cm is not None:
        tall = round(float(height_cm.mean()), 1) if start is None else start.height_cm
        if np.ptp(height_cm) == 0:
            raise ValueError("everybody has the same height")
        # In tenths, so that the coefficient has the size of the others.
        columns.append(10 * np.log(height_cm / tall))
    design = np.column_stack(columns)
    k = design.shape[1]
    line, logs = (age - middle) / 10, np.log(values / unit)
    weights = np.ones(len(values)) if weights is None else weights

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def off(parameters: Vector) -> tuple[float, Vector]:
        power, median, variation = parameters[0], parameters[1 : k + 1], parameters[k + 1 :]
        u, spread = logs - design @ median, np.exp(variation[0] + variation[1] * line)
        raised = np.exp(power * u)
        if abs(power) < _LOGARITHM:
            z, along = u / spread, u**2 / (2 * spread)
        else:
            z = (raised - 1) / (power * spread)
            along = (u * raised - (raised - 1) / power) / (power * spread)
        value = power * u - np.log(spread) - z**2 / 2
        if not np.isfinite(value).all():  # a step of the search went too far
            return _WORST, np.zeros(len(parameters))
        by_median = design.T @ (weights * (z * raised / spread - power))
        by_spread = weights * (z**2 - 1)
        slope = np.concatenate([[weights @ (u - z * along)], by_median, [by_spread.sum(), by_spread @ line]])
        return -float(weights @ value) / n, -slope / n

    first = np.zeros(k + 3)
    first[0], first[k + 1] = 1.0, np.log(max(float(logs.std()), 1e-3))
    if start is not None:
        first = np.concatenate([[start.power], start.median, start.variation])
        first[5 : k + 1] /= 10
    found = minimize(off, first, jac=True, method="BFGS", options={"gtol": 1e-7 if start is None else 1e-5})
    p = found.x
    p[5 : k + 1] *= 10
    return LmsFit(float(p[0]), p[1 : k + 1], p[k + 1 :], knots, middle, unit, -found.fun * n,
                  int(weights.sum()), tall)  # fmt: skip


def centile(power: Vector, median: Vector, spread: Vector, z: float) -> Vector:
    """Value with the z score ``z``: M (1 + L S z)^(1/L)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        raised = median * np.power(1 + power * spread * z, 1 / power)
    return np.where(np.abs(power) < _LOGARITHM, median * np.exp(spread * z), raised)


def z_score(value: Vector, power: Vector, median: Vector, spread: Vector) -> Vector:
    """z score of a value: ((value / M)^L - 1) / (L S)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        raised = (np.power(value / median, power) - 1) / (power * spread)
    return np.where(np.abs(power) < _LOGARITHM, np.log(value / median) / spread, raised)


def _spline(age: Vector, knots: Vector, middle: float) -> Vector:
    """Spline of age with columns of similar size."""
    return restricted_cubic_spline((age - middle) / 10, [float(knot) for knot in (knots - middle) / 10])
