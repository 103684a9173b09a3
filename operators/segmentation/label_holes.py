"""Holes in the labels of another tool: voxels without a label that one structure encloses on all sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.anatomy import BACKGROUND_INDEX, by_index
from operators.core.label_schemes import Scheme
from operators.core.volume import QualityFlag
from operators.segmentation.mapped_labels import shortened

__all__ = ["hole_flags"]

_MUCH = 0.02
"""Of the structure's volume. A vessel or a seam of fat inside a muscle is less."""


def hole_flags(labels: NDArray[np.int16], scheme: Scheme) -> tuple[QualityFlag, ...]:
    """``label-holes`` (warning) with the structures that have holes of more than 2% of their volume.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), int16
        Indices of the label table; for a group, minus its number in ``scheme``.
    scheme : Scheme
    """
    groups = list(scheme.groups.items())
    lowest = int(labels.min(initial=0))
    found: list[str] = []
    structures: list[str] = []
    for place, box in enumerate(ndimage.find_objects(labels.astype(np.int32) - min(lowest, 0)), start=1):
        value = place + min(lowest, 0)
        if box is None or value == BACKGROUND_INDEX:
            continue
        inside = labels[box]
        mask = inside == value
        holes = np.count_nonzero(ndimage.binary_fill_holes(mask) & (inside == BACKGROUND_INDEX))
        share = holes / np.count_nonzero(mask)
        if share <= _MUCH:
            continue
        name, members = (
            (by_index(value).display_name, (by_index(value).name,))
            if value > 0
            else (groups[-value - 1][0], groups[-value - 1][1][0])
        )
        found.append(f"{name} ({share:.0%})")
        structures += members
    if not found:
        return ()
    message = f"Labels have holes, which are missing in the volumes: {shortened(found)}."
    return (QualityFlag("label-holes", "warning", message, structures=tuple(structures)),)
