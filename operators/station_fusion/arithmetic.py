"""The scalar arithmetic of station fusion, written once for the CPU and for CUDA.

These are plain Python functions. `resample_cpu` compiles them with
``numba.njit`` and `resample_cuda` with ``numba.cuda.jit(device=True)``, so CPU
and GPU compute the same thing. None of them calls another, because a compiled
function cannot call a plain one. numba's disk cache notices changes only in the
file of a kernel itself, so empty ``__pycache__`` after editing this one.

The contribution of a station along one axis of n voxels, at index t:

=====================  =====================================================
0 <= t <= n-1          interpolated, with full share
half a voxel beyond    the end voxel repeated, with the share ``EDGE_SHARE``
further out            nothing
=====================  =====================================================

A voxel has an extent, so a station reaches half a voxel beyond the centres of
its end voxels. Two stations that touch without overlapping therefore leave no
gap between them, and no end slice is lost. But the signal there is repeated,
not measured, so it must not change a neighbour's interpolated value.
``EDGE_SHARE`` is so small that in float32 it vanishes beside a full share.
Because it is a power of two, it cancels exactly if no other station contributes.
The shares of the three axes are multiplied, so of two repeated samples the one
that is outside along fewer axes counts.
"""

from __future__ import annotations

import math

import numpy as np

from operators.core.grid_geometry import INDEX_SNAP

__all__ = ["EDGE_SHARE", "EDGE_SLACK", "INDEX_SNAP", "blend", "blend_four", "locate"]

EDGE_SHARE = 2.0**-30
EDGE_SLACK = 0.02
"""Voxels by which a station reaches beyond its half voxel, because table positions are rounded."""

_ONE = np.float32(1.0)


def blend(low, high, weight):  # type: ignore[no-untyped-def]
    """Linear interpolation with ``weight`` for ``high``; exact at 0 and at 1 (method, section 3, w_i(d))."""
    return low * (_ONE - weight) + high * weight


def blend_four(low_low, low_high, high_low, high_high, weight_y, weight_z):  # type: ignore[no-untyped-def]
    """Bilinear interpolation of four neighbours, named by z then y."""
    low = low_low * (_ONE - weight_y) + low_high * weight_y
    high = high_low * (_ONE - weight_y) + high_high * weight_y
    return low * (_ONE - weight_z) + high * weight_z


def locate(index, size):  # type: ignore[no-untyped-def]
    """Locate a voxel index along an axis of ``size`` voxels.

    Parameters
    ----------
    index : float
        Position in voxels; whole numbers are voxel centres.
    size : int
        At least 2.

    Returns
    -------
    lower : int
        The lower of the two neighbours, 0 to size - 2.
    weight : float
        Weight of the upper neighbour, 0 to 1.
    share : float
        1 inside, ``EDGE_SHARE`` in the outer half voxel, 0 outside.
    """
    last = size - 1.0
    nearest = float(math.floor(index + 0.5))
    if abs(index - nearest) < INDEX_SNAP:
        index = nearest
    if index < -0.5 - EDGE_SLACK or index > last + 0.5 + EDGE_SLACK:
        return 0, 0.0, 0.0
    share = 1.0
    if index < 0.0:
        index = 0.0
        share = EDGE_SHARE
    elif index > last:
        index = last
        share = EDGE_SHARE
    lower = int(index)
    if lower > size - 2:
        lower = size - 2
    return lower, index - lower, share
