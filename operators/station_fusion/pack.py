"""Stations packed into one buffer for their upload: as int16 where that loses nothing, else as float32."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["pack", "packed_type"]

_BLOCK = 1 << 16
"""Voxels that one thread handles at a time."""


def packed_type(signals: Sequence[NDArray[np.float32]]) -> type[np.int16] | type[np.float32]:
    """int16 if every value of every signal is a whole number from -32768 to 32767, as scanners store them."""
    return np.int16 if all(_fits_int16(np.ascontiguousarray(signal).reshape(-1)) for signal in signals) else np.float32


def pack(signal: NDArray[np.float32], out: NDArray[np.generic]) -> None:
    """Copy a signal into a flat buffer, with all threads.

    Parameters
    ----------
    signal : ndarray, float32
    out : ndarray, shape (size of the signal,), int16 or float32
        int16 only if `packed_type` says so.
    """
    _copy(np.ascontiguousarray(signal).reshape(-1), out)


@numba.njit(parallel=True, cache=True)
def _copy(signal, out):  # type: ignore[no-untyped-def]
    for block in numba.prange((signal.size + _BLOCK - 1) // _BLOCK):
        start, stop = block * _BLOCK, min((block + 1) * _BLOCK, signal.size)
        for at in range(start, stop):
            out[at] = signal[at]


@numba.njit(parallel=True, cache=True)
def _fits_int16(signal):  # type: ignore[no-untyped-def]
    blocks = (signal.size + _BLOCK - 1) // _BLOCK
    bad = 0
    for block in numba.prange(blocks):
        start, stop = block * _BLOCK, min((block + 1) * _BLOCK, signal.size)
        for at in range(start, stop):
            value = signal[at]
            # A comparison with NaN is false, so that NaN counts as a value that does not fit.
            if not (-32768.0 <= value <= 32767.0) or value != np.floor(value):
                bad += 1
                break
    return bad == 0
