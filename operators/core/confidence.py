"""How sure the network is of the voxels of each label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOW_SHARE", "confidence_by_label"]

LOW_SHARE = 0.05
"""The low percentile that is reported, as a share of a structure's voxels."""

_BINS = 1000


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
    labelled = labels > 0
    label = labels[labelled].astype(np.int32)
    if not label.size:
        return {}
    sure = np.clip(confidence[labelled], 0.0, 1.0)
    sums = np.bincount(label, sure)
    places = label * (_BINS + 1) + np.rint(sure * _BINS).astype(np.int32)
    counts = np.bincount(places, minlength=len(sums) * (_BINS + 1)).reshape(len(sums), -1)
    found = {}
    for value in np.flatnonzero(counts.any(axis=1)).tolist():
        up_to = np.cumsum(counts[value])
        low = int(np.searchsorted(up_to, LOW_SHARE * up_to[-1]))
        # Six decimals, as in the report, from which they are read when a study is measured again.
        found[value] = (round(float(sums[value] / up_to[-1]), 6), low / _BINS)
    return found
