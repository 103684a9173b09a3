"""Conversion of signal to the 16-bit integers of an MR image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.valuerep import format_number_as_ds

from operators.core.volume import Volume

__all__ = ["StoredValues", "stored_values"]

#: Half the range of 16 bits, so that readers that take the values as signed also read them correctly.
_LARGEST = 32767
#: Of a signal that does not vary.
_ANY_STEP = 2.0**-10
#: Signal that varies less needs fractions for its offset and its window. Some exporters scale images to 0...1 or less.
_SMALL_SPAN = 32.0
#: Percentiles of the signal inside the body that the display window spans.
_WINDOW_PERCENTILES = (1.0, 99.5)


@dataclass(frozen=True)
class StoredValues:
    """Stored integers and their scale: signal = slope x stored + intercept.

    Attributes
    ----------
    stored : ndarray, shape (z, y, x), uint16
        0 to 32767.
    slope, intercept : float
        A decimal string of DICOM holds both exactly. The slope is a power of
        two, so that the scanner's own integers are restored exactly if they
        fit. For very small signal it is the nearest decimal number.
    window : tuple of float
        Centre and width of a display window, in units of signal.
    """

    stored: NDArray[np.uint16]
    slope: float
    intercept: float
    window: tuple[float, float]


def stored_values(volume: Volume, body: NDArray[np.bool_]) -> StoredValues:
    """Store a volume in 15 bits, with the finest power of two as its step, the same for the whole volume.

    Parameters
    ----------
    volume : Volume
        Finite signal.
    body : ndarray, shape (z, y, x), bool
        Voxels from which the display window is computed; all voxels when it is empty.
    """
    signal = volume.voxels.astype(np.float32, copy=False)
    lowest, highest = float(signal.min()), float(signal.max())
    is_small = highest - min(0.0, lowest) < _SMALL_SPAN
    intercept = min(0.0, _as_decimal(lowest) if is_small else float(math.floor(lowest)))
    span = highest - intercept
    slope = _as_decimal(2.0 ** math.ceil(math.log2(span / _LARGEST))) if span > 0 else _ANY_STEP
    scaled = signal - np.float32(intercept) if intercept else signal.copy()
    scaled /= np.float32(slope)
    stored = np.clip(np.rint(scaled, out=scaled), 0, _LARGEST, out=scaled).astype(np.uint16)
    inside = signal[body] if body.any() else signal.ravel()
    low, high = (float(v) for v in np.percentile(inside, _WINDOW_PERCENTILES))
    if is_small:
        width = float(f"{max(high - low, slope):.3g}")
        return StoredValues(stored, slope, intercept, (float(f"{low + width / 2:.3g}"), width))
    width = max(round(high - low), 1)
    return StoredValues(stored, slope, intercept, (round(low + width / 2, 1), float(width)))


def _as_decimal(value: float) -> float:
    """The nearest number that 16 characters hold."""
    return float(format_number_as_ds(value))
