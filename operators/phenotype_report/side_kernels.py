"""Compiled loops over the voxels of a label map, by label and side of the mid-surface."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["mid_x", "moments", "place_and_side", "tally_voxels"]


@njit(cache=True, inline="always")
def mid_x(y, z, first, step, x_mm, roll, y_ref):  # type: ignore[no-untyped-def]
    """LPS x of the mid-surface at a point; see `operators.phenotype_report.mid_surface.MidSurface`."""
    t = min(max((z - first) / step, 0.0), float(len(x_mm) - 1))
    n = min(int(t), len(x_mm) - 2)
    # Equal knots are returned unchanged, because infinite knots mean "no surface".
    if x_mm[n] == x_mm[n + 1]:
        return x_mm[n] + roll * (y - y_ref)
    return x_mm[n] + (t - n) * (x_mm[n + 1] - x_mm[n]) + roll * (y - y_ref)


@njit(cache=True)
def place_and_distance(affine, k, j, i, first, step, x_mm, roll, y_ref):  # type: ignore[no-untyped-def]
    """Place of a voxel's centre (x, y, z in mm), and how far along x it is to the left of the midsagittal surface."""
    x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
    y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k + affine[1, 3]
    z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k + affine[2, 3]
    return x, y, z, x - mid_x(y, z, first, step, x_mm, roll, y_ref)


@njit(cache=True)
def place_and_side(affine, k, j, i, first, step, x_mm, roll, y_ref):  # type: ignore[no-untyped-def]
    """Place of a voxel's centre (x, y, z in mm), and its side of the midsagittal surface: 0 left, 1 right."""
    x, y, z, left_mm = place_and_distance(affine, k, j, i, first, step, x_mm, roll, y_ref)
    return x, y, z, 0 if left_mm > 0 else 1


@njit(cache=True)
def moments(labels, affine, first, step, x_mm, roll, y_ref, near_mm, label_count, slab_count):  # type: ignore[no-untyped-def]
    """Count and sums of x, y, z by (label, slab, side), and the count within ``near_mm`` of the surface along x.

    Their shapes are (labels, slabs, 2, 4) and (labels, slabs).
    """
    out = np.zeros((label_count, slab_count, 2, 4))
    near = np.zeros((label_count, slab_count))
    for k in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for i in range(labels.shape[2]):
                label = labels[k, j, i]
                if label == 0 or label >= label_count:
                    continue
                x, y, z, left_mm = place_and_distance(affine, k, j, i, first, step, x_mm, roll, y_ref)
                side = 0 if left_mm > 0 else 1
                slab = min(max(int(np.floor((z - first) / step + 0.5)), 0), slab_count - 1)
                out[label, slab, side, 0] += 1.0
                out[label, slab, side, 1] += x
                out[label, slab, side, 2] += y
                out[label, slab, side, 3] += z
                if abs(left_mm) <= near_mm:
                    near[label, slab] += 1.0
    return out, near


@njit(cache=True)
def tally_voxels(labels, fat_fraction, affine, first, step, x_mm, roll, y_ref, label_count):  # type: ignore[no-untyped-def]
    """Voxel count and fat fraction sum by (label, side)."""
    voxels = np.zeros((label_count, 2), dtype=np.int64)
    fat = np.zeros((label_count, 2))
    for k in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for i in range(labels.shape[2]):
                label = labels[k, j, i]
                if label == 0 or label >= label_count:
                    continue
                _, _, _, side = place_and_side(affine, k, j, i, first, step, x_mm, roll, y_ref)
                voxels[label, side] += 1
                if np.isfinite(fat_fraction[k, j, i]):
                    fat[label, side] += fat_fraction[k, j, i]
    return voxels, fat
