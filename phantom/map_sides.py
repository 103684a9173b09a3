"""The left and the right half of a label map of a person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Volume
from operators.phenotype_report.mid_surface import find_mid_surface
from operators.phenotype_report.sides import side_volume

__all__ = ["find_sides"]

_PIECE = 0.05
"""Pieces of a structure that are a smaller share of it are not examined."""
_CUT = 0.05
"""Share of a piece that may lie beyond the mid-surface: voxels at the edge of a structure in the middle of the body."""
_SMALLER_SIDE = 0.2
"""Volume on the smaller side over that on the larger, above which a structure counts as on both sides."""
_PAIRED = 0.5
"""Share of the labelled voxels that the structures in such pairs must have."""


def find_sides(labels: Volume, stated: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float | None]:
    """Find the side of every voxel, and the body's mid-plane.

    The names of labels decide where they state the side. Elsewhere the mid-surface of the report does
    (`operators.phenotype_report.mid_surface`), but only if it parts the structures without cutting their pieces. One
    leg, or a body that does not lie along the axes of its file, has no such surface.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table, on an axis-aligned grid.
    stated : ndarray, shape of ``labels``, uint8
        1 left, 2 right, 0 not stated.

    Returns
    -------
    sides : ndarray, shape of ``labels``, uint8
        1 left, 2 right, 0 not known.
    mid_x_mm : float or None
        LPS x of the mid-plane. None if there is no mid-surface.
    """
    surface = find_mid_surface(labels)
    if surface is None:
        return stated, None
    sides = np.asarray(side_volume(labels.grid, surface).voxels, np.uint8)
    if not _parts_pairs(np.asarray(labels.voxels, np.uint8), sides):
        return stated, None
    return np.where(stated > 0, stated, sides), float(np.median(surface.x_mm))


def _parts_pairs(labels: NDArray[np.uint8], sides: NDArray[np.uint8]) -> bool:
    """Whether most of what is labelled belongs to structures that lie on both sides, each piece on one of them.

    Structures that touch in the middle of the body, such as the adductors of thick thighs, are in one piece. So not
    all structures are asked.
    """
    paired = total = 0
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, count = ndimage.label(labels[box] == index)
        size = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        left = np.bincount(pieces[sides[box] == 1], minlength=count + 1)[1:]
        cut = np.minimum(left, size - left) > _CUT * size
        smaller, larger = sorted((int(left.sum()), int((size - left).sum())))
        total += smaller + larger
        if smaller >= _SMALLER_SIDE * larger and not cut[size > _PIECE * size.sum()].any():
            paired += smaller + larger
    return paired > _PAIRED * total
