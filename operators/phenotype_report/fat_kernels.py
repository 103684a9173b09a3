"""Compiled loop over labelled voxels: their depth inside the label and their noise-corrected fat fraction, counted."""

from __future__ import annotations

import numpy as np
from numba import njit

from operators.phenotype_report.side_kernels import place_and_side

__all__ = ["joint_histogram"]


@njit(cache=True)
def _local_mean(signal, k, j, i):  # type: ignore[no-untyped-def]
    """Mean over the 27 voxels around a voxel, or those of them that exist."""
    total, count = 0.0, 0
    for c in range(max(k - 1, 0), min(k + 2, signal.shape[0])):
        for b in range(max(j - 1, 0), min(j + 2, signal.shape[1])):
            for a in range(max(i - 1, 0), min(i + 2, signal.shape[2])):
                total += signal[c, b, a]
                count += 1
    return total / count


@njit(cache=True)
def _bias(mean, sd, table, table_step):  # type: ignore[no-untyped-def]
    """Noise bias of a magnitude whose local mean is ``mean``, from the table of biases by mean, both in units of sd."""
    if sd <= 0.0:
        return 0.0
    place = mean / sd / table_step
    n = int(place)
    if n + 1 >= len(table):
        return 0.5 * sd * sd / mean  # the limit for strong signal
    return sd * (table[n] + (place - n) * (table[n + 1] - table[n]))


@njit(cache=True)
def joint_histogram(  # type: ignore[no-untyped-def]
    labels,
    water,
    fat,
    offsets,
    distances,
    noise_sd,
    table,
    table_step,
    affine,
    first,
    step,
    x_mm,
    roll,
    y_ref,
    label_count,
    depth_bins,
    depth_step,
    fraction_bins,
    fraction_low,
    fraction_step,
):
    """Count voxels by (label, side, depth, fat fraction), and add up the fat of the deepest ones in each slice.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    water, fat : ndarray, shape (z, y, x), float32
    offsets : ndarray, shape (n, 3), int64
        Neighbours to look at, (z, y, x), nearest first.
    distances : ndarray, shape (n,), float64
        Distance in mm from a voxel's centre to the nearest point of each neighbour.
    noise_sd : ndarray, shape (2,), float64
        Noise of water and fat; 0 for no correction.
    table : ndarray, float64
        Noise bias by mean signal, both in units of the noise.

    Returns
    -------
    counts : ndarray, shape (labels, 2, depths, fractions), int32
        Depth 0 is at the border of the label. Voxels without signal are not counted.
    slices : ndarray, shape (z, 2, labels, 2), float64
        Number of the voxels at the largest depth, and the sum of their fat fractions.
    """
    out = np.zeros((label_count, 2, depth_bins, fraction_bins), dtype=np.int32)
    depth, rows, columns = labels.shape
    slices = np.zeros((depth, 2, label_count, 2), dtype=np.float64)
    for k in range(depth):
        for j in range(rows):
            for i in range(columns):
                label = labels[k, j, i]
                if label == 0 or label >= label_count:
                    continue
                inside = depth_bins - 1
                for n in range(len(distances)):
                    c, b, a = k + offsets[n, 0], j + offsets[n, 1], i + offsets[n, 2]
                    # Beyond the volume the label may go on: the edge of the images is not the border of a muscle.
                    if c < 0 or b < 0 or a < 0 or c >= depth or b >= rows or a >= columns:
                        continue
                    if labels[c, b, a] != label:
                        inside = min(inside, int(distances[n] / depth_step))
                        break
                w, f = float(water[k, j, i]), float(fat[k, j, i])
                if not (np.isfinite(w) and np.isfinite(f)) or w + f <= 0.0:
                    continue
                if noise_sd[0] > 0.0:
                    w -= _bias(_local_mean(water, k, j, i), noise_sd[0], table, table_step)
                if noise_sd[1] > 0.0:
                    f -= _bias(_local_mean(fat, k, j, i), noise_sd[1], table, table_step)
                total = w + f
                fraction = f / total if total > 0.0 else 0.5
                place = int(np.floor((fraction - fraction_low) / fraction_step))
                place = min(max(place, 0), fraction_bins - 1)
                _, _, _, side = place_and_side(affine, k, j, i, first, step, x_mm, roll, y_ref)
                out[label, side, inside, place] += 1
                if inside == depth_bins - 1:
                    slices[k, side, label, 0] += 1.0
                    slices[k, side, label, 1] += fraction
    return out, slices
