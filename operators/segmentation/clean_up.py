"""Relabelling of small islands of a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["clean_up"]

_SMALLEST_PART = 0.05  # of the largest part; the same muscle on the other side is never this small
_CROSS = ndimage.generate_binary_structure(3, 1)


def clean_up(labels: NDArray[np.uint8], smallest_part: float = _SMALLEST_PART) -> tuple[NDArray[np.uint8], int]:
    """Relabel connected parts that are far smaller than the largest part of their label.

    Left and right share a label, so both sides of a muscle are kept. An island
    takes the label (or the background) that most of its face neighbours have.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    smallest_part : float
        Parts with fewer voxels than this fraction of the largest part's are islands.

    Returns
    -------
    labels : ndarray, shape (z, y, x), uint8
        A copy.
    changed : int
        Number of voxels that were relabelled.
    """
    cleaned = labels.copy()
    changed = 0
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        parts, count = ndimage.label(labels[box] == label, _CROSS)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        boxes = ndimage.find_objects(parts)
        for number in np.flatnonzero(sizes < smallest_part * sizes.max()).tolist():
            whole = tuple(
                slice(max(outer.start + inner.start - 1, 0), min(outer.start + inner.stop + 1, size))
                for outer, inner, size in zip(box, boxes[number], labels.shape, strict=True)
            )
            island = _island(parts, number + 1, box, whole)
            shell = ndimage.binary_dilation(island, _CROSS) & ~island
            around = np.bincount(labels[whole][shell], minlength=1)
            cleaned[whole][island] = around.argmax()
            changed += int(sizes[number])
    return cleaned, changed


def _island(
    parts: NDArray[np.int32], number: int, box: tuple[slice, ...], whole: tuple[slice, ...]
) -> NDArray[np.bool_]:
    """The mask of part ``number`` on ``whole``, which may extend beyond ``box``, the extent of ``parts``."""
    inside = tuple(
        slice(max(part.start - outer.start, 0), part.stop - outer.start) for part, outer in zip(whole, box, strict=True)
    )
    found = parts[inside] == number
    margins = []
    for part, outer in zip(whole, box, strict=True):
        margins.append((max(outer.start - part.start, 0), max(part.stop - outer.stop, 0)))
    return np.pad(found, margins)
