"""Natural (restricted) cubic splines, to test whether a relation is linear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["KNOT_PERCENTILES", "restricted_cubic_spline"]

Vector = NDArray[np.float64]

# Harrell, Regression Modeling Strategies, 2015, table 2.3: percentiles of 4 knots.
KNOT_PERCENTILES = (5, 35, 65, 95)


def restricted_cubic_spline(x: Vector, knots: Sequence[float] | None = None) -> Vector:
    """Basis of a cubic spline that is linear beyond its outer knots.

    Parameters
    ----------
    x : ndarray, shape (n,)
    knots : sequence of float, optional
        Default: the 5th, 35th, 65th and 95th percentile.

    Returns
    -------
    ndarray, shape (n, len(knots) - 1)
        The first column is ``x``. The basis spans the same functions as R's
        ``splines::ns`` with these knots.

    Raises
    ------
    ValueError
        If knots coincide, as for a measure with few distinct values.
    """
    t = np.percentile(x, KNOT_PERCENTILES) if knots is None else np.asarray(knots, dtype=float)
    if (np.diff(t) <= 0).any():
        raise ValueError("knots that coincide")
    scale = (t[-1] - t[0]) ** 2

    def cube(knot: float) -> Vector:
        return np.maximum(x - knot, 0.0) ** 3

    columns = [x]
    for knot in t[:-2]:
        last = (cube(t[-2]) * (t[-1] - knot) - cube(t[-1]) * (t[-2] - knot)) / (t[-1] - t[-2])
        columns.append((cube(knot) - last) / scale)
    return np.column_stack(columns)
