"""ComBat: remove a centre's or scanner's shift and scale from many measures at once.

Johnson et al., Biostatistics 2007;8:118-127, with parametric priors, as R's ``sva::ComBat`` (tests/analysis).
Fortin et al., NeuroImage 2018;167:104-120, use it for measures from MRI. The packages for Python (neuroCombat,
neuroHarmonize) have had no release for years or bring large dependencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.threads import one_blas_thread

__all__ = ["combat"]

Vector = NDArray[np.float64]

_TOLERANCE = 1e-4  # largest relative change at which the iteration ends, as in sva
_MAX_STEPS = 1000
_ROUNDING = 1e-12


@one_blas_thread
def combat(measures: Vector, batch: NDArray[np.integer], covariates: Vector) -> Vector:
    """Harmonise measures between batches, and keep what the covariates explain.

    Parameters
    ----------
    measures : ndarray, shape (n, features)
        At least two features that vary; without NaN.
    batch : ndarray of int, shape (n,)
        0 to batches - 1; at least two people in each.
    covariates : ndarray, shape (n, k)
        Whose effects are kept; without an intercept, of full rank together with the batches.

    Returns
    -------
    ndarray, shape (n, features)

    Raises
    ------
    ValueError
        If there are fewer than two features, or a batch of one person.
    numpy.linalg.LinAlgError
        If a covariate follows from the batches.
    """
    n, features = measures.shape
    counts = np.bincount(batch)
    if features < 2 or counts.min() < 2:
        raise ValueError("ComBat needs two features, and two people in every batch")
    own = np.eye(len(counts))[batch]
    centred = covariates - covariates.mean(axis=0)
    design = np.column_stack([own, centred])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise np.linalg.LinAlgError("a covariate follows from the batches")
    coefficients = np.linalg.lstsq(design, measures, rcond=None)[0]
    grand = (counts / n) @ coefficients[: len(counts)]
    expected = grand + centred @ coefficients[len(counts) :]
    spread = np.sqrt(((measures - design @ coefficients) ** 2).mean(axis=0))
    # A measure that batches and covariates determine has nothing to be harmonised by, and stays as it is.
    varies = spread > _ROUNDING * np.maximum(np.abs(measures).max(axis=0), 1e-300)
    if varies.sum() < 2:
        raise ValueError("ComBat needs two features that vary within the batches")
    made = measures.astype(float, copy=True)
    standard = (measures[:, varies] - expected[:, varies]) / spread[varies]
    for name in range(len(counts)):
        rows = batch == name
        shift, variance = _posterior(standard[rows])
        changed = (standard[rows] - shift) / np.sqrt(variance) * spread[varies] + expected[np.ix_(rows, varies)]
        made[np.ix_(rows, varies)] = changed
    return made


def _posterior(standard: Vector) -> tuple[Vector, Vector]:
    """Shift and variance of a batch in each feature, pulled towards those of the batch's other features."""
    n = len(standard)
    seen_shift, seen_variance = standard.mean(axis=0), standard.var(axis=0, ddof=1)
    prior_shift, prior_spread = seen_shift.mean(), seen_shift.var(ddof=1)
    mean, variance_of = seen_variance.mean(), seen_variance.var(ddof=1)
    if variance_of <= _ROUNDING * mean**2:  # every feature says the same, so the prior is certain
        shift = (prior_spread * n * seen_shift + mean * prior_shift) / (prior_spread * n + mean)
        return shift, np.full_like(seen_variance, mean)
    # Of the inverse gamma distribution of the variances, by the method of moments.
    shape = (2 * variance_of + mean**2) / variance_of
    scale = (mean * variance_of + mean**3) / variance_of
    shift, variance = seen_shift, seen_variance
    for _ in range(_MAX_STEPS):
        new_shift = (prior_spread * n * seen_shift + variance * prior_shift) / (prior_spread * n + variance)
        squares = ((standard - new_shift) ** 2).sum(axis=0)
        new_variance = (0.5 * squares + scale) / (n / 2 + shape - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            change = max(
                float(np.nanmax(np.abs(new_shift - shift) / np.abs(shift))),
                float(np.nanmax(np.abs(new_variance - variance) / variance)),
            )
        shift, variance = new_shift, new_variance
        if change < _TOLERANCE:
            break
    return shift, variance
