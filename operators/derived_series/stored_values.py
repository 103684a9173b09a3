"""Signal as the 16-bit integers of an MR image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Volume

__all__ = ["StoredValues", "stored_values"]

#: Half of what 16 bits hold: readers that take the values for signed then read them rightly too.
_LARGEST = 32767
#: A signal below this is noise; a finer step would only make windows awkward.
_FINEST_STEP = 2.0**-10
#: Percentiles of the signal inside the body that the display window spans.
_WINDOW_PERCENTILES = (1.0, 99.5)


@dataclass(frozen=True)
class StoredValues:
    """Integers, and how they become signal: signal = slope x stored + intercept.

    Attributes
    ----------
    stored : ndarray, shape (z, y, x), uint16
        0 to 32767.
    slope, intercept : float
        The slope is a power of two, so that a decimal string holds it exactly
        and integers of the scanner that fit come back exactly.
    window : tuple of float
        Centre and width of a display window, in units of signal.
    """

    stored: NDArray[np.uint16]
    slope: float
    intercept: float
    window: tuple[float, float]


def stored_values(volume: Volume, body: NDArray[np.bool_]) -> StoredValues:
    """The finest step by a power of two that 15 bits have room for, one for the whole volume.

    Parameters
    ----------
    volume : Volume
        Finite signal.
    body : ndarray, shape (z, y, x), bool
        Where the display window is taken from; everywhere when it is empty.
    """
    signal = volume.voxels.astype(np.float32, copy=False)
    lowest, highest = float(signal.min()), float(signal.max())
    intercept = min(0.0, float(math.floor(lowest)))
    span = max(highest - intercept, _FINEST_STEP)
    slope = max(2.0 ** math.ceil(math.log2(span / _LARGEST)), _FINEST_STEP)
    scaled = signal - np.float32(intercept) if intercept else signal.copy()
    scaled /= np.float32(slope)
    stored = np.rint(scaled, out=scaled).astype(np.uint16)
    inside = signal[body] if body.any() else signal.ravel()
    low, high = (float(v) for v in np.percentile(inside, _WINDOW_PERCENTILES))
    width = max(round(high - low), 1)
    return StoredValues(stored, slope, intercept, (round(low + width / 2, 1), float(width)))
