"""Muscles of the thigh that have each other's names in labels made elsewhere.

Two neighbours that are exchanged leave the centres of the groups nearly where
they were. So single muscles are compared, slice by slice: quadriceps lie in
front of hamstrings, and medial muscles nearer to the other leg than lateral ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from operators.core.anatomy import HAMSTRINGS, QUADRICEPS, by_index, by_name
from operators.core.volume import Grid, QualityFlag

__all__ = ["exchanged_flags", "wrong_share"]

_IN_FRONT = (
    *product(QUADRICEPS, HAMSTRINGS),
    *product(("rectus_femoris", "vastus_medialis", "adductor_longus"), ("adductor_magnus",)),
    ("rectus_femoris", "vastus_intermedius"),
)
_MEDIAL = (
    *product(("gracilis", "adductor_longus"), ("rectus_femoris", "vastus_intermedius", "vastus_lateralis")),
    *product(("adductor_magnus", "vastus_medialis", "vastus_intermedius", "rectus_femoris"), ("vastus_lateralis",)),
    *product(("gracilis", "semimembranosus", "semitendinosus"), ("biceps_femoris", "vastus_lateralis")),
    ("vastus_medialis", "vastus_intermedius"),
)
_NAMES = frozenset(name for pair in (*_IN_FRONT, *_MEDIAL) for name in pair)

_LEAST_MM2 = 50.0
"""Of a muscle in a slice."""
_LEAST_MM = 60.0
"""Height in which both muscles are seen."""
_BETWEEN_FEMURS_MM = 40.0
_WRONG = 0.75
"""Of the slices. Labels drawn by hand in four people have 0.05 at most, phantoms less, exchanged muscles nearly all."""

Profile = dict[int, float]


def exchanged_flags(labels: NDArray[np.uint8], grid: Grid) -> tuple[QualityFlag, ...]:
    """``implausible-anatomy`` (warning) where muscles of the thigh lie on the wrong side of each other.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
        Numbers of the label table.
    grid : Grid
    """
    wrong = [
        f"the {_called(one)} {relation} the {_called(other)}"
        for (one, relation, other), share in wrong_share(labels, grid).items()
        if share > _WRONG
    ]
    if not wrong:
        return ()
    message = (
        f"In most slices the labels do not show {'; '.join(wrong)}. Some muscles may have each other's names: look at "
        "the labels, and check --scheme and the version of the tool."
    )
    return (QualityFlag("implausible-anatomy", "warning", message),)


def wrong_share(labels: NDArray[np.uint8], grid: Grid) -> dict[tuple[str, str, str], float]:
    """For each pair that is seen together, the share of slices in which it lies the wrong way round."""
    depth, across = _profiles(labels, grid)
    found = {}
    for relation, pairs, where in (("in front of", _IN_FRONT, depth), ("medial of", _MEDIAL, across)):
        for one, other in pairs:
            shared = where.get(one, {}).keys() & where.get(other, {}).keys()
            if len(shared) * grid.spacing_mm[2] >= _LEAST_MM:
                wrong = sum(where[one][z] > where[other][z] for z in shared)
                found[one, relation, other] = wrong / len(shared)
    return found


def _profiles(labels: NDArray[np.uint8], grid: Grid) -> tuple[Mapping[str, Profile], Mapping[str, Profile]]:
    """By muscle and slice: how far back it lies, and how far from the middle between the femurs."""
    least = _LEAST_MM2 / (grid.spacing_mm[0] * grid.spacing_mm[1])
    backwards = np.sign(grid.affine[1, 1])
    middles = _middles(labels, grid)
    depth: dict[str, Profile] = {}
    across: dict[str, Profile] = {}
    for index, box in enumerate(find_objects(labels), start=1):
        name = by_index(index).name
        if box is None or name not in _NAMES:
            continue
        where = labels[box] == index
        areas = np.count_nonzero(where, axis=(1, 2))
        rows = np.count_nonzero(where, axis=2) @ np.arange(box[1].start, box[1].stop)
        columns = np.count_nonzero(where, axis=1)
        x = np.arange(box[2].start, box[2].stop)
        seen = [(k, box[0].start + k) for k in np.flatnonzero(areas >= least).tolist()]
        depth[name] = {z: float(backwards * rows[k] / areas[k]) for k, z in seen}
        across[name] = {z: float(columns[k] @ abs(x - middles[z]) / areas[k]) for k, z in seen if z in middles}
    return depth, across


def _middles(labels: NDArray[np.uint8], grid: Grid) -> Profile:
    """By slice, the column in the middle between two femurs; slices that show one leg have none."""
    columns = (labels == by_name("femur").index).any(axis=1)
    found = {}
    for z in np.flatnonzero(columns.any(axis=1)).tolist():
        x = np.flatnonzero(columns[z])
        gaps = np.diff(x)
        if gaps.size and gaps.max() * grid.spacing_mm[0] >= _BETWEEN_FEMURS_MM:
            at = int(gaps.argmax())
            found[z] = float(x[at] + x[at + 1]) / 2
    return found


def _called(name: str) -> str:
    return by_name(name).display_name.lower()
