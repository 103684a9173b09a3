"""Rescale slopes that differ from slice to slice, and whether the images agree with them.

Some exports write a slope for every slice. Where the pixels were scaled by it,
rescaled slices follow each other smoothly. Where the slopes were written without
scaling the pixels, the rescaled signal goes up and down with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import QualityFlag

__all__ = ["slice_slope_flags", "undo_wrong_slopes"]

_ALIKE = 1.02
"""Largest ratio of slopes that need no look at the images."""

_FEWEST = 8
"""Pairs of neighbouring slices."""

_FOLLOWS, _CERTAIN = 0.6, 4.0
"""Slope of the regression of the signal's steps on those of the slopes, 0 where slopes are right and 1 where they are
wrong, from which on they are wrong; and over its standard error."""

_BRIGHT = 95.0
"""Percentile of a slice: tissue, which changes little from slice to slice."""


def undo_wrong_slopes(slices: NDArray[np.float32], slopes: Sequence[float], intercepts: Sequence[float]) -> bool:
    """Give all slices one slope, the median, where the images contradict different ones.

    Parameters
    ----------
    slices : ndarray, shape (slices, ., .), float32
        Rescaled signal, in the order of the body; changed in place.
    slopes, intercepts : sequence of float
        Of each slice.

    Returns
    -------
    bool
        Whether the slices were changed.
    """
    factors = np.asarray(slopes, dtype=np.float64)
    if len(factors) <= _FEWEST or factors.min() <= 0 or factors.max() <= _ALIKE * factors.min() or any(intercepts):
        return False
    bright = np.array([np.percentile(image[::2, ::2], _BRIGHT) for image in slices], dtype=np.float64)
    if bright.min() <= 0:
        return False
    signal, slope = np.diff(np.log(bright)), np.diff(np.log(factors))
    spread = float(slope @ slope)
    follows = float(slope @ signal) / spread
    left = signal - follows * slope
    error = np.sqrt(max(float(left @ left) / (len(left) - 1) / spread, 1e-12))
    if follows < _FOLLOWS or follows < _CERTAIN * error:
        return False
    slices *= (np.median(factors) / factors).astype(np.float32)[:, None, None]
    return True


def slice_slope_flags(series: Sequence[str]) -> tuple[QualityFlag, ...]:
    """A ``slice-slopes-not-used`` warning that names the series that were changed."""
    if not series:
        return ()
    named = ", ".join(dict.fromkeys(series))
    message = (
        f"The rescale slopes of {named} differ from slice to slice, but the images go up and down with them, so their "
        "pixels were not scaled. The median slope was used for all slices."
    )
    return (QualityFlag("slice-slopes-not-used", "warning", message),)
