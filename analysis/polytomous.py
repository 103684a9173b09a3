"""Draw missing levels of a factor by polytomous logistic regression, for multiple imputation.

The levels have no order: predictive mean matching on their codes takes people for similar whose levels are not (R's
mice uses polytomous regression for the same reason).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_LEVELS", "drawn_levels"]

Vector = NDArray[np.float64]

MOST_LEVELS = 12
"""Factors with more levels have too many coefficients to draw."""
_STEPS = 12
_TOLERANCE = 1e-4
# Precision of a normal prior on coefficients per SD: half a person's worth. It bounds separated levels.
_PRIOR = 0.5


def drawn_levels(
    others: Vector, codes: Vector, gaps: NDArray[np.bool_], rng: np.random.Generator, start: Vector | None = None
) -> tuple[Vector, Vector]:
    """Draw coefficients from their posterior, and levels of the people who lack theirs.

    Parameters
    ----------
    others : ndarray, shape (n, p)
        Everything else that is known about people, as numbers and indicators, without an intercept.
    codes : ndarray, shape (n,)
        0 to levels - 1; anything where ``gaps`` is true.
    gaps : ndarray of bool, shape (n,)
    rng : Generator
    start : ndarray, optional
        Coefficients of an earlier fit to similar data.

    Returns
    -------
    (levels, coefficients)
        Shapes (gaps,) and (levels - 1, p + 1); the latter to start the next fit.
    """
    there = ~gaps
    spread = others[there].std(axis=0)
    scaled = (others - others[there].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    rows = np.vstack([np.ones(len(codes)), scaled.T])
    known, levels = rows[:, there], int(codes[there].max()) + 1
    happened = (codes[there] == np.arange(1, levels)[:, None]).astype(float)
    width = len(rows)
    penalty = np.full(width, _PRIOR)
    penalty[0] = 0.0
    coefficients = np.zeros((levels - 1, width)) if start is None else start
    for _ in range(_STEPS):
        shares = _shares(coefficients @ known)[1:]
        slope = (happened - shares) @ known.T - penalty * coefficients
        information = _information(known, shares, penalty)
        step = np.linalg.solve(information, slope.ravel()).reshape(slope.shape)
        # A long step overshoots where a level is rare.
        coefficients = coefficients + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < _TOLERANCE:
            break
    noise = rng.standard_normal(coefficients.size)
    # With information = L L', the solution of L' x = noise has the inverse information as covariance.
    factor = np.linalg.cholesky(information)
    drawn = coefficients + np.linalg.solve(factor.T, noise).reshape(coefficients.shape)
    cumulative = np.cumsum(_shares(drawn @ rows[:, gaps]), axis=0)
    chosen = (rng.random(cumulative.shape[1]) > cumulative[:-1]).sum(axis=0)
    return chosen.astype(float), coefficients


def _shares(predictors: Vector) -> Vector:
    """Chances of all levels, shape (levels, n); the first level's predictor is 0."""
    whole = np.vstack([np.zeros(predictors.shape[1]), predictors])
    raised = np.exp(whole - whole.max(axis=0))
    return np.asarray(raised / raised.sum(axis=0))


def _information(known: Vector, shares: Vector, penalty: Vector) -> Vector:
    count, width = len(shares), len(known)
    made = np.zeros((count * width, count * width))
    for i in range(count):
        for j in range(i + 1):
            weight = shares[i] * ((i == j) - shares[j])
            block = (known * weight) @ known.T
            made[i * width : (i + 1) * width, j * width : (j + 1) * width] = block
            made[j * width : (j + 1) * width, i * width : (i + 1) * width] = block
        place = np.arange(i * width, (i + 1) * width)
        made[place, place] += penalty + 1e-9 * known.shape[1]
    return made
