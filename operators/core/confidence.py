"""How sure the network is of the voxels of each label."""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["LOW_SHARE", "confidence_by_label"]

LOW_SHARE = 0.05
"""The low percentile that is reported, as a share of a structure's voxels."""

_BINS = 1000
_PARTS = 16
"""Parts that are counted at the same time. Their number is fixed, so that sums do not depend on the threads."""


def confidence_by_label(
    labels: NDArray[np.uint8], confidence: NDArray[np.floating]
) -> Mapping[int, tuple[float, float]]:
    """Mean and low percentile of the confidence over the voxels of each label but background.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    confidence : ndarray, shape (z, y, x), float
        In [0, 1].

    Returns
    -------
    mapping of int to tuple of float
        By label value. The percentile is exact to 0.001.
    """
    last = int(labels.max(initial=0))
    if last == 0:
        return {}
    part_counts = np.zeros((_PARTS, last + 1, _BINS + 1), dtype=np.int64)
    part_sums = np.zeros((_PARTS, last + 1), dtype=np.float64)
    _count(
        np.ascontiguousarray(labels).reshape(-1), np.ascontiguousarray(confidence).reshape(-1), part_counts, part_sums
    )
    counts, sums = part_counts.sum(axis=0), part_sums.sum(axis=0)
    found = {}
    for value in np.flatnonzero(counts.any(axis=1)).tolist():
        up_to = np.cumsum(counts[value])
        low = int(np.searchsorted(up_to, LOW_SHARE * up_to[-1]))
        # Six decimals, as in the report, from which they are read when a study is measured again.
        found[value] = (round(float(sums[value] / up_to[-1]), 6), low / _BINS)
    return found


@numba.njit(parallel=True, cache=True)
def _count(labels, confidence, counts, sums):  # type: ignore[no-untyped-def]
    """Count the voxels of each label in bins of confidence, and sum the confidence, in parts of the volume."""
    parts = len(counts)
    for part in numba.prange(parts):
        for at in range(part * labels.size // parts, (part + 1) * labels.size // parts):
            label = labels[at]
            if label > 0:
                sure = min(max(confidence[at], np.float32(0)), np.float32(1))
                sums[part, label] += sure
                counts[part, label, int(np.rint(sure * np.float32(_BINS)))] += 1
