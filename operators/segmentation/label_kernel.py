"""Interpolation of scores and comparison of classes in one pass; only labels (and confidence if requested) are written.

A row of scores is interpolated in the plane for all its slices at once and then
along the slices. It is compared with the best scores so far before the next row
is read.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["label_band"]

_NEGLIGIBLE = np.float32(-20.0)


@numba.njit(parallel=True, cache=True, nogil=True)
def label_band(  # type: ignore[no-untyped-def]
    scores,
    origin,
    a_lower,
    a_upper,
    a_weight,
    b_lower,
    b_upper,
    b_weight,
    n_lower,
    n_upper,
    n_weight,
    n_start,
    n_stop,
    body,
    labels,
    confidence,
    everywhere,
    probabilities,
):
    """Label the voxels [n_start, n_stop) along the last axis from scores whose voxel 0 is at ``origin``.

    The confidence is computed unless its array is empty: ``everywhere`` in the body, or of structures only.
    """
    b0, b1 = b_lower + origin[1], b_upper + origin[1]
    below, above = n_lower[n_start:n_stop] + origin[2], n_upper[n_start:n_stop] + origin[2]
    weight = n_weight[n_start:n_stop]
    for p in numba.prange(a_lower.size):
        a0, a1 = a_lower[p] + origin[0], a_upper[p] + origin[0]
        inside = body[p, :, n_start:n_stop]
        ends = _ends(inside)
        found = np.zeros(inside.shape, dtype=np.uint8)  # contiguous, unlike a part of labels, so that it vectorises
        best = np.empty(inside.shape, dtype=np.float32)
        values = np.empty((scores.shape[0] if confidence.size > 0 else 0, *found.shape), dtype=np.float32)
        for c in range(scores.shape[0]):  # one plane of each class in turn, because they are stored in this order
            planes = scores[c, a0], scores[c, a1], a_weight[p]
            _label_plane(planes, (b0, b1, b_weight), (below, above, weight), ends, c, best, found, values)
        for q, n in np.ndindex(found.shape):
            if inside[q, n]:
                labels[p, q, n_start + n] = found[q, n]
        if confidence.size > 0:
            if not everywhere:
                inside = inside & (found > 0)
            _write_confidence(inside, best, values, probabilities, confidence[p, :, n_start:n_stop])


@numba.njit(cache=True)
def _write_confidence(wanted, best, values, probabilities, confidence):  # type: ignore[no-untyped-def]
    """Write the probability of the best class of the wanted voxels of a plane."""
    total = np.empty(wanted.shape[1], dtype=np.float32)
    for q in range(wanted.shape[0]):
        if probabilities:
            for n in range(total.size):
                if wanted[q, n]:
                    confidence[q, n] = best[q, n]
            continue
        total[:] = 0.0
        for c in range(values.shape[0]):  # one row of each class in turn, because they are stored in this order
            for n in range(total.size):
                # Most classes are far behind the best one, and what they would add is less than a float32 resolves.
                if wanted[q, n] and values[c, q, n] - best[q, n] > _NEGLIGIBLE:
                    total[n] += np.exp(values[c, q, n] - best[q, n])
        for n in range(total.size):
            if wanted[q, n]:
                confidence[q, n] = np.float32(1.0) / total[n]


@numba.njit(cache=True)
def _label_plane(planes, b_axis, n_axis, ends, c, best, found, values):  # type: ignore[no-untyped-def]
    """Compare the scores of class ``c``, interpolated between two planes (b, n), with the best so far."""
    b0, b1, b_weight = b_axis
    below, above, n_weight = n_axis
    line = np.empty(planes[0].shape[1], dtype=np.float32)
    along = np.empty(below.size, dtype=np.float32)
    for q in range(b0.size):
        low, high = ends[q, 0], ends[q, 1]
        if low == high:
            continue
        first = min(below[low], below[high - 1])  # slices may run backwards
        last = max(above[low], above[high - 1]) + 1
        _interpolate_in_plane(planes, b0[q], b1[q], b_weight[q], first, last, line)
        here = along[low:high]
        _interpolate(line, below[low:high], above[low:high], n_weight[low:high], here)
        if c == 0:
            best[q, low:high] = here
        if values.size > 0:
            values[c, q, low:high] = here
        _keep_largest(here, c, best[q, low:high], found[q, low:high])


@numba.njit(cache=True)
def _ends(inside):  # type: ignore[no-untyped-def]
    """Index of the first True of each row, and one past the last; equal if there is none."""
    ends = np.empty((inside.shape[0], 2), dtype=np.int64)
    for q in range(inside.shape[0]):
        low, high = 0, inside.shape[1]
        while low < high and not inside[q, low]:
            low += 1
        while high > low and not inside[q, high - 1]:
            high -= 1
        ends[q, 0], ends[q, 1] = low, high
    return ends


# The loops below run from 0 over whole arrays. Only then does numba know that no index is negative, and vectorises.


@numba.njit(cache=True)
def _keep_largest(found, c, best, labels):  # type: ignore[no-untyped-def]
    for n in range(found.size):
        better = found[n] > best[n]
        best[n] = found[n] if better else best[n]
        labels[n] = c if better else labels[n]


@numba.njit(cache=True)
def _interpolate(line, below, above, weight, found):  # type: ignore[no-untyped-def]
    for n in range(found.size):
        found[n] = (np.float32(1.0) - weight[n]) * line[below[n]] + weight[n] * line[above[n]]


@numba.njit(cache=True)
def _interpolate_in_plane(planes, b0, b1, wb, first, last, line):  # type: ignore[no-untyped-def]
    """Fill slices [first, last) of ``line`` from four rows of scores; one row is enough where grids coincide."""
    lower, upper, wa = planes
    if (wa == 0 or wa == 1) and (wb == 0 or wb == 1):
        line[first:last] = (upper if wa == 1 else lower)[b1 if wb == 1 else b0, first:last]
        return
    one = np.float32(1.0)
    w00, w01, w10, w11 = (one - wa) * (one - wb), (one - wa) * wb, wa * (one - wb), wa * wb
    s00, s01 = lower[b0, first:last], lower[b1, first:last]
    s10, s11 = upper[b0, first:last], upper[b1, first:last]
    here = line[first:last]
    for k in range(here.size):
        here[k] = w00 * s00[k] + w01 * s01[k] + w10 * s10[k] + w11 * s11[k]
