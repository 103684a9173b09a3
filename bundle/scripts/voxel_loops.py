"""Loops over rows of voxels that numba vectorises, for `bundle.scripts.loss_kernel`.

They run from 0 over whole rows. Only then does numba know that no index is negative.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["add", "add_log", "copy", "exp", "multiply", "raise_to", "subtract"]

_SMALLEST = np.float32(-87.0)  # exp of less is no normal float32
_LOG2_E = np.float32(1.44269504)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# exp(r) = 1 + r + r^2 (E0 + E1 r + ...) for |r| < ln(2) / 2 (Cephes library, expf).
_E0, _E1, _E2 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_E3, _E4, _E5 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)
_ONE, _HALF = np.float32(1.0), np.float32(0.5)


@numba.njit(cache=True)
def copy(values: NDArray[np.float32], into: NDArray[np.float32]) -> None:  # pragma: no cover
    for v in range(len(into)):
        into[v] = values[v]


@numba.njit(cache=True)
def raise_to(values: NDArray[np.float32], others: NDArray[np.float32]) -> None:  # pragma: no cover
    for v in range(len(values)):
        values[v] = others[v] if others[v] > values[v] else values[v]


@numba.njit(cache=True)
def subtract(
    values: NDArray[np.float32], others: NDArray[np.float32], into: NDArray[np.float32]
) -> None:  # pragma: no cover
    for v in range(len(into)):
        into[v] = values[v] - others[v]


@numba.njit(cache=True)
def add(values: NDArray[np.float32], others: NDArray[np.float32]) -> None:  # pragma: no cover
    for v in range(len(values)):
        values[v] += others[v]


@numba.njit(cache=True)
def multiply(values: NDArray[np.float32], others: NDArray[np.float32]) -> None:  # pragma: no cover
    for v in range(len(values)):
        values[v] *= others[v]


@numba.njit(cache=True)
def add_log(values: NDArray[np.float32], others: NDArray[np.float32]) -> None:  # pragma: no cover
    for v in range(len(values)):
        values[v] += np.float32(math.log(others[v]))


@numba.njit(cache=True)
def exp(values: NDArray[np.float32], spare: NDArray[np.float32]) -> None:  # pragma: no cover
    """Replace values of at most 0 by exp of them, in loops that the compiler vectorises; numba's exp is not.

    ``spare`` is as long or longer. No loop here reads and writes the same memory as two arrays.
    """
    bits = spare.view(np.int32)
    for v in range(len(values)):
        x = values[v]
        x = x if x > _SMALLEST else _SMALLEST
        whole = np.floor(x * _LOG2_E + _HALF)
        bits[v] = (np.int32(whole) + 127) << 23  # the bits of 2 ** whole
        values[v] = x - whole * _LN2_HIGH - whole * _LN2_LOW
    for v in range(len(values)):
        r = values[v]
        tail = ((((_E5 * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r + _E0
        values[v] = spare[v] * (tail * r * r + r + _ONE)
