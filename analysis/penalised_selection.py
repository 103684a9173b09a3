"""Logistic lasso by coordinate descent, and how stable its choice is.

The algorithm is that of Friedman et al., J Stat Softw 2010;33(1): a quadratic approximation of the likelihood
at the present coefficients, minimised one coefficient at a time on its matrix of products. With some thirty
regressors, that matrix is all that the inner loop needs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analysis.threads import one_blas_thread

__all__ = ["lasso", "stability_selection"]

Vector = NDArray[np.float64]

_OUTER, _INNER = 30, 300
_TOLERANCE = 1e-8
# Share of the markers that a half sample may choose on average; bounds the number of false ones.
_CHOSEN_SHARE = 0.25
_HALVES = 50


@one_blas_thread
def lasso(design: Vector, events: Vector, penalties: Vector, start: Vector | None = None) -> Vector:
    """Minimise the mean negative log likelihood plus ``sum(penalties * abs(coefficients))``.

    Parameters
    ----------
    design : ndarray, shape (n, k)
        With the intercept's column, if there is to be one; its penalty is 0.
    events : ndarray, shape (n,)
    penalties : ndarray, shape (k,)
    start : ndarray, shape (k,), optional
    """
    n = len(events)
    coefficients = np.zeros(design.shape[1]) if start is None else start.copy()
    for _ in range(_OUTER):
        predictor = design @ coefficients
        fitted = 1.0 / (1.0 + np.exp(-predictor))
        weight = np.maximum(fitted * (1.0 - fitted), 1e-6)
        products = design.T @ (design * weight[:, None]) / n
        slope = design.T @ (events - fitted) / n + products @ coefficients
        before = coefficients.copy()
        # Python's own numbers, because thousands of steps on single elements of an array take three times as long.
        rest, now = slope - products @ before, before.tolist()
        curvature, penalty = np.diag(products).tolist(), penalties.tolist()
        for _ in range(_INNER):
            largest = 0.0
            for j, old in enumerate(now):
                target = rest.item(j) + curvature[j] * old
                size = abs(target) - penalty[j]
                new = math.copysign(size, target) / curvature[j] if size > 0 else 0.0
                if new != old:
                    rest -= products[j] * (new - old)
                    now[j] = new
                    largest = max(largest, abs(new - old))
            if largest < _TOLERANCE:
                break
        coefficients = np.array(now)
        if np.abs(coefficients - before).max() < _TOLERANCE * 10:
            break
    return coefficients


def stability_selection(
    markers: Vector, covariates: Vector, events: Vector, rng: np.random.Generator, halves: int = _HALVES
) -> Vector:
    """Share of random halves of the people in which the lasso keeps each marker.

    Parameters
    ----------
    markers : ndarray, shape (n, m)
        Penalised, per SD.
    covariates : ndarray, shape (n, k)
        Not penalised.
    events : ndarray, shape (n,)
    rng : Generator
    halves : int

    Notes
    -----
    The penalty is the smallest of a path at which all people together keep at
    most a quarter of the markers, so it does not depend on the half.
    """
    m = markers.shape[1]
    scaled = [(x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0) for x in (markers, covariates)]
    design = np.column_stack([np.ones(len(events)), scaled[1], scaled[0]])
    free = design.shape[1] - m
    penalised = np.concatenate([np.zeros(free), np.ones(m)])
    alone = lasso(design[:, :free], events, np.zeros(free))
    rest = events - 1.0 / (1.0 + np.exp(-(design[:, :free] @ alone)))
    largest = float(np.abs(scaled[0].T @ rest).max() / len(events))
    coefficients = np.concatenate([alone, np.zeros(m)])
    chosen, kept = largest, coefficients
    for penalty in largest * np.geomspace(1.0, 0.02, 25):
        coefficients = lasso(design, events, penalty * penalised, coefficients)
        if (coefficients[free:] != 0).sum() > _CHOSEN_SHARE * m:
            break
        chosen, kept = penalty, coefficients
    counts = np.zeros(m)
    for _ in range(halves):
        half = rng.permutation(len(events))[: len(events) // 2]
        counts += lasso(design[half], events[half], chosen * penalised, kept)[free:] != 0
    return counts / halves
