"""Structures that the upper or the lower end of the images cuts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import STRUCTURES, THIGH_MUSCLES, by_index, by_name
from operators.core.label_map import LabelMap
from operators.core.volume import Fused, QualityFlag
from operators.station_fusion.body import slices_of_body
from operators.station_fusion.coverage import MINIMUM_COVERAGE_MM

__all__ = ["cut_at_ends"]

_MEASURED = frozenset(structure.index for structure in STRUCTURES)
_NEAR_END_MM = 10.0
"""Of an end of the images that cuts structures. Labels of a cut muscle may end a slice before it."""
_DOUBTFUL_SHARE, _CUT_SHARE = 0.08, 0.16
"""Mean cross-section of the thighs' muscles near the lower end over their largest one. Phantoms have 0 at the archive's
lower end. Where slices of the lowest station are missing, P/A is too small, because the hamstrings reach further down
than the quadriceps: by 3% at 0.16, by 10% at 0.48. Of 50 bodies of the archive, the knees are 90 mm (median) above the
lower end, and 3 have none in view: a small loss is only said, because tall people would otherwise be missing."""


def cut_at_ends(labels: LabelMap, fused: Fused) -> tuple[LabelMap, tuple[QualityFlag, ...]]:
    """The label map, with the structures that the ends of the images cut, and a flag if the labels alone tell it.

    Fusion's flags tell that an end cuts (``partial-coverage``, ``short-trunk``, ``knees-not-seen``). Otherwise muscles
    of the thighs that reach the lower end do: ``thighs-cut-below`` (warning). Images that are too short for pelvis to
    knee are not judged; fusion has said so.
    """
    codes = {flag.code for flag in fused.flags}
    first, end = slices_of_body(fused.body)  # the images may go on without it
    near, count = math.ceil(_NEAR_END_MM / labels.grid.spacing_mm[2]), labels.grid.shape[0]
    lowest, highest = list(range(min(first + near, count))), list(range(max(0, end - near), count))
    slices = {"partial-coverage": lowest + highest, "short-trunk": highest, "knees-not-seen": lowest}
    cut = frozenset[str]().union(*(_in_slices(labels, where) for code, where in slices.items() if code in codes))
    flags: tuple[QualityFlag, ...] = ()
    shown_mm = (end - first) * labels.grid.spacing_mm[2]
    if shown_mm >= MINIMUM_COVERAGE_MM and codes.isdisjoint({"partial-coverage", "knees-not-seen"}):
        share = _share_at(labels, slice(first, first + near))
        if share >= _DOUBTFUL_SHARE:
            reaching = _in_slices(labels, lowest)
            if share >= _CUT_SHARE:
                cut |= reaching
            flags = (_thighs_cut_below(share, reaching),)
    return replace(labels, cut=labels.cut | cut), flags


def _thighs_cut_below(share: float, reaching: frozenset[str]) -> QualityFlag:
    said = (
        f"Muscles of the thighs reach the lower end of the images with {share:.0%} of their largest cross-section: the "
        "images end above the knees, or lack slices. "
    )
    if share < _CUT_SHARE:
        names = tuple(name for name in THIGH_MUSCLES if name in reaching)
        said += "Their volumes and P/A are a little too small."
        return QualityFlag("thighs-cut-below", "warning", said, structures=names, quantities=("volume",))
    said += (
        f"Structures that come within {_NEAR_END_MM:.0f} mm of that end are cut: phenotypes that need their volume are "
        "not given."
    )
    return QualityFlag("thighs-cut-below", "warning", said, quantities=())  # no number that is given is in doubt


def _share_at(labels: LabelMap, slices: slice) -> float:
    """Mean cross-section of the thighs' muscles in some slices over their largest one; 0 where none is labelled."""
    thigh = np.isin(labels.voxels, [by_name(name).index for name in THIGH_MUSCLES])
    if labels.group_voxels is not None:
        members = [set(group) for group in labels.groups.values()]
        numbers = [number for number, group in enumerate(members, start=1) if group & set(THIGH_MUSCLES)]
        thigh |= np.isin(labels.group_voxels.voxels, numbers)
    areas: NDArray[np.int_] = np.count_nonzero(thigh, axis=(1, 2))
    return float(areas[slices].mean() / areas.max()) if areas.max() else 0.0


def _in_slices(labels: LabelMap, slices: list[int]) -> frozenset[str]:
    """Structures in slices at an end of the images: a volume of a part of the body holds only a part of them."""
    names = {by_index(value).name for value in np.unique(labels.voxels[slices]).tolist() if value in _MEASURED}
    if labels.group_voxels is not None:
        members = list(labels.groups.values())
        for number in np.unique(labels.group_voxels.voxels[slices]).tolist():
            names |= set(members[number - 1]) if number else set()
    return frozenset(names)
