"""Firth's penalised likelihood: a finite odds ratio for separated or sparse events.

Firth, Biometrika 1993;80:27-38; for logistic regression Heinze & Schemper,
Stat Med 2002;21:2409-2419. The likelihood is multiplied by the square root of
the determinant of the information (Jeffreys' prior). Intervals and p values
are profile penalised likelihood ones, as in R's ``logistf``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.design import Standardised, standardise
from analysis.distributions import chi2_tail
from analysis.logistic import evaluate, information_of
from analysis.profile_likelihood import profile_ends
from analysis.threads import one_blas_thread

__all__ = ["FirthEstimate", "firth"]

Vector = NDArray[np.float64]

_MAX_STEPS = 200
_LARGEST_STEP = 5.0
# Limits of the Newton decrement. The likelihood is off by about half of it, the coefficient by its root.
_DECREMENT_ESTIMATE, _DECREMENT_PROFILE = 1e-14, 1e-10


@dataclass(frozen=True)
class FirthEstimate:
    """One coefficient under Firth's penalty.

    Attributes
    ----------
    coefficient : float
        Log odds per unit.
    low, high : float or None
        95% profile penalised likelihood interval; None if an end is not finite.
    p_value : float
        Penalised likelihood ratio test.
    converged : bool
    """

    coefficient: float
    low: float | None
    high: float | None
    p_value: float
    converged: bool

    @property
    def summary(self) -> pd.DataFrame:
        """One row: odds ratio, its interval, p."""
        ends = [float("nan") if end is None else float(np.exp(end)) for end in (self.low, self.high)]
        return pd.DataFrame(
            [{"odds_ratio": np.exp(self.coefficient), "ci_low": ends[0], "ci_high": ends[1], "p_value": self.p_value}]
        )


@one_blas_thread
def firth(
    regressors: Vector, outcome: Vector, term: int, level: float = 0.95, standardised: Standardised | None = None
) -> FirthEstimate:
    """Estimate one coefficient and profile the others out.

    Parameters
    ----------
    regressors : ndarray, shape (n, k)
        Without an intercept.
    outcome : ndarray, shape (n,)
        0 or 1, both present.
    term : int
        Column of ``regressors``.
    level : float
    standardised : Standardised, optional
        `analysis.design.standardise` of the same regressors, where several models share them.
    """
    standardised = standardise(regressors) if standardised is None else standardised
    design = standardised.design
    j, unit = term + 1, float(standardised.scale[term])
    free = np.ones(len(design), dtype=bool)
    coefficients, best, error, converged = _maximise(design, outcome, free, np.zeros(len(design)), _DECREMENT_ESTIMATE)
    free[j] = False
    path = [coefficients]

    def log_likelihood(value: float) -> float:
        # The other coefficients change almost linearly with this one, so the line through the last two points is a
        # good start.
        start = path[-1].copy()
        if len(path) > 1 and path[-1][j] != path[-2][j]:
            start += (path[-1] - path[-2]) * ((value - path[-1][j]) / (path[-1][j] - path[-2][j]))
        start[j] = value
        found, penalised, _, _ = _maximise(design, outcome, free, start, _DECREMENT_PROFILE)
        path.append(found)
        return penalised

    low, high = profile_ends(log_likelihood, best, float(coefficients[j]), float(error[j]), level)
    path.append(coefficients)
    ratio = max(0.0, 2.0 * (best - log_likelihood(0.0)))
    return FirthEstimate(
        coefficient=float(coefficients[j]) / unit,
        low=None if low is None else low / unit,
        high=None if high is None else high / unit,
        p_value=float(chi2_tail(ratio, 1)),
        converged=converged,
    )


def _penalised(design: Vector, outcome: Vector, coefficients: Vector) -> tuple[float, Vector, Vector]:
    value, fitted = evaluate(coefficients @ design, outcome, np.ones(len(outcome)))
    information = information_of(design, fitted * (1.0 - fitted))
    return value + 0.5 * float(np.linalg.slogdet(information)[1]), fitted, information


def _maximise(
    design: Vector, outcome: Vector, free: NDArray[np.bool_], start: Vector, decrement: float
) -> tuple[Vector, float, Vector, bool]:
    """Fisher scoring on the free coefficients. The penalty is always that of the whole design."""
    coefficients, previous = start.copy(), np.zeros(int(free.sum()))
    value, fitted, information = _penalised(design, outcome, coefficients)
    for _ in range(_MAX_STEPS):
        covariance = np.linalg.pinv(information, hermitian=True)
        leverage = np.einsum("ij,ij->j", covariance @ design, design) * fitted * (1.0 - fitted)
        score = (design @ (outcome - fitted + leverage * (0.5 - fitted)))[free]
        step = np.linalg.solve(information[np.ix_(free, free)], score)
        if float(score @ step) < decrement:
            return coefficients, value, np.sqrt(np.diag(covariance)), True
        step = step * min(1.0, _LARGEST_STEP / float(np.abs(step).max()))
        # The penalty doubles the curvature along an indicator of one person. A whole step then goes to the other side
        # of the maximum and back, for ever; half of it meets the maximum.
        turned = float(step @ previous) < -0.5 * float(previous @ previous)
        previous = step
        for size in (0.5, 0.25, 0.125, 0.0625, 0.03125) if turned else (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125):
            candidate = coefficients.copy()
            candidate[free] += size * step
            attempt = _penalised(design, outcome, candidate)
            if attempt[0] >= value - 1e-13 * abs(value):
                break
        coefficients = candidate
        value, fitted, information = attempt
    return coefficients, value, np.sqrt(np.diag(covariance)), False
