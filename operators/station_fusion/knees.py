"""Whether the fused volume reaches the knees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid

__all__ = ["reaches_knees"]

_LOWEST_MM = 120.0
"""The archive's lowest station ends just below the knee joint (method, section 2), so the joint is in this range."""

_THIGH_MM = 450.0
"""Range above the lowest slice: a thigh's length, including its thickest part."""

_KNEE_SHARE = 0.45
"""Hardly any muscle crosses the knee joint. The lean cross-section there is 10 to 25% of the thigh's largest; at the
lower third of the thigh it is still two thirds."""


def reaches_knees(
    water: NDArray[np.float32], fat: NDArray[np.float32], body: NDArray[np.bool_], grid: Grid
) -> bool | None:
    """Whether the lean cross-section decreases at the lower end as it does from thigh to knee.

    Parameters
    ----------
    water, fat : ndarray, shape (z, y, x), float32
        Fused signals.
    body : ndarray, shape (z, y, x), bool
    grid : Grid

    Returns
    -------
    bool or None
        None when there is no body in that range.
    """
    step = grid.spacing_mm[2]
    thigh = slice(0, max(1, int(_THIGH_MM / step)))
    lean = (body[thigh] & (water[thigh] > fat[thigh])).sum(axis=(1, 2))
    shown: NDArray[np.bool_] = np.logical_or.reduce(body[thigh], axis=(1, 2))
    if not shown.any() or lean.max() == 0:
        return None
    first = int(np.flatnonzero(shown)[0])
    low = slice(first, first + max(1, int(_LOWEST_MM / step)))
    # A slice without any body is a gap, not a knee.
    return bool(lean[low][shown[low]].min() < _KNEE_SHARE * lean.max())
