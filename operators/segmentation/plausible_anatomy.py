"""Whether labels can be what their names say: where muscles and bones lie, and how bright they are.

A label list of another version gives structures each other's names. Numbers
alone often cannot tell, but no quadriceps lies where an iliopsoas does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from operators.core.anatomy import ADIPOSE_INDEX, HAMSTRINGS, QUADRICEPS, by_index, by_name
from operators.core.label_map import LabelMap
from operators.core.volume import Fused, Grid, QualityFlag, Volume

__all__ = ["anatomy_flags", "contradictions", "misplaced"]

Vector = NDArray[np.float64]

_RULES: tuple[tuple[str, str, str], ...] = (
    ("gluteus_maximus", "behind", "femur"),
    ("femur", "behind", "quadriceps"),
    ("hamstrings", "behind", "quadriceps"),
    ("hamstrings", "behind", "sartorius"),
    ("multifidus", "behind", "iliopsoas"),
    ("multifidus", "behind", "rectus_abdominis"),
    ("iliac_bone", "above", "femur"),
    ("iliopsoas", "above", "femur"),
    ("gluteus_medius", "above", "femur"),
    ("gluteus_minimus", "above", "femur"),
    ("gluteus_maximus", "above", "quadriceps"),
    ("gluteus_medius", "above", "gluteus_maximus"),
)
"""Between centres of volume. In a person every one of them is true by centimetres."""

_GROUPS = {"quadriceps": QUADRICEPS, "hamstrings": HAMSTRINGS}
_IN_RULES = frozenset(name for one, _, other in _RULES for name in (one, other))
_BONES = ("femur", "iliac_bone")

_MARGIN_MM = 5.0
_LEAST_CM3 = 5.0
_BONE_DARKER = 0.75
"""Water signal of a femur, most of it fatty marrow, over that of muscle; a third or less in most people."""

_LEAST_CONTRAST = 0.2
"""Of water's median over the body, between its 10th and 90th percentile; with less nothing is dark."""


def contradictions(structures: Mapping[str, NDArray[np.bool_]], fused: Fused) -> list[str]:
    """What is anatomically impossible about labels.

    Parameters
    ----------
    structures : mapping of str to ndarray, shape (z, y, x), bool
        By the names of the label table, ``quadriceps`` and ``hamstrings``, on the fused grid.
    fused : Fused

    Returns
    -------
    list of str
        Clauses such as "the gluteus maximus does not lie behind the femur".
    """
    large = _large(structures, fused.grid)
    centres = {name: _centre(where) for name, where in large.items() if name in _IN_RULES}
    femur = fused.water[large["femur"]] if "femur" in large else np.empty(0)
    muscles = [where for name, where in large.items() if name not in _BONES]
    muscle = fused.water[np.logical_or.reduce(muscles)] if muscles else np.empty(0)
    return _wrong(centres, femur, muscle, fused)


def misplaced(labels: Volume) -> list[str]:
    """What is impossible about where the structures of a label map lie: `contradictions` without images.

    Parameters
    ----------
    labels : Volume, uint8
        Values of the label table.
    """
    voxels = np.asarray(labels.voxels)
    present = {by_index(n).name: n for n in np.unique(voxels).tolist() if n not in (0, ADIPOSE_INDEX)}
    large = _large({name: voxels == n for name, n in present.items()}, labels.grid)
    return _misplaced({name: _centre(where) for name, where in large.items() if name in _IN_RULES}, labels.grid)


def anatomy_flags(labels: LabelMap, fused: Fused) -> tuple[QualityFlag, ...]:
    """``implausible-anatomy`` (warning) where our own network's labels are anatomically impossible.

    It labels any image: a fat image that is taken for water, an image with a bright background.
    """
    voxels = np.asarray(labels.voxels, dtype=np.uint8)
    least = _LEAST_CM3 * 1000.0 / fused.grid.voxel_volume_mm3
    counts: dict[str, int] = {}
    centres: dict[str, Vector] = {}
    signal: dict[str, NDArray[np.float32]] = {}
    # Every study is looked at, so each structure is looked for in its own box only.
    for index, box in enumerate(find_objects(voxels), start=1):
        if box is None or index == ADIPOSE_INDEX:
            continue
        where, name = voxels[box] == index, by_index(index).name
        counts[name] = int(np.count_nonzero(where))
        centres[name] = _centre(where) + [along.start for along in box]
        signal[name] = fused.water[box][where]
    for group, members in _GROUPS.items():
        if present := [name for name in members if name in counts]:
            counts[group] = sum(counts[name] for name in present)
            weighted = np.sum([centres[name] * counts[name] for name in present], axis=0)
            centres[group] = weighted / counts[group]
    large = {name for name, count in counts.items() if count >= least}
    whole_groups = {name for group in large & _GROUPS.keys() for name in _GROUPS[group]}
    muscles = [values for name, values in signal.items() if name in large | whole_groups and name not in _BONES]
    wrong = _wrong(
        {name: centre for name, centre in centres.items() if name in large & _IN_RULES},
        signal["femur"] if "femur" in large else np.empty(0),
        np.concatenate(muscles) if muscles else np.empty(0),
        fused,
    )
    if not wrong:
        return ()
    message = (
        f"The labels cannot be right: {'; '.join(wrong)}. Look at the water image: is muscle bright in it, fat and air "
        "dark, and the head up?"
    )
    return (QualityFlag("implausible-anatomy", "warning", message),)


def _wrong(centres: Mapping[str, Vector], femur: NDArray[Any], muscle: NDArray[Any], fused: Fused) -> list[str]:
    """The rules that centres (voxels z, y, x) break, and whether the femur's water signal is that of muscle."""
    found = _misplaced(centres, fused.grid)
    if femur.size and muscle.size and _is_bright(femur, muscle, fused):
        found.append("the femur is as bright as muscle in the water image")
    return found


def _misplaced(centres: Mapping[str, Vector], grid: Grid) -> list[str]:
    found = []
    for one, relation, other in _RULES:
        if one in centres and other in centres:
            k, j, i = centres[one] - centres[other]
            apart = (grid.affine[:3, :3] @ [i, j, k])[{"behind": 1, "above": 2}[relation]]
            if apart < -_MARGIN_MM:
                does = "do" if one == "hamstrings" else "does"
                found.append(f"{_called(one)} {does} not lie {relation} {_called(other)}")
    return found


def _large(structures: Mapping[str, NDArray[np.bool_]], grid: Grid) -> dict[str, NDArray[np.bool_]]:
    """The structures and groups of which enough is there to tell where they lie."""
    least = _LEAST_CM3 * 1000.0 / grid.voxel_volume_mm3
    return {name: where for name, where in _with_groups(structures).items() if np.count_nonzero(where) >= least}


def _with_groups(structures: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """The structures, and the two groups where all or some of their members are labelled one by one."""
    whole = dict(structures)
    for group, members in _GROUPS.items():
        present = [structures[name] for name in members if name in structures]
        if present and group not in whole:
            whole[group] = np.logical_or.reduce(present)
    return whole


def _centre(where: NDArray[np.bool_]) -> Vector:
    """Centre of a mask, in voxels z, y, x."""
    counts = [np.count_nonzero(where, axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    return np.array([np.average(np.arange(along.size), weights=along) for along in counts])


def _is_bright(femur: NDArray[Any], muscle: NDArray[Any], fused: Fused) -> bool:
    if not fused.body.any():
        return False
    # The femur first: it is dark in nearly every study, and then the percentiles of the whole body are not needed.
    if not float(np.median(femur)) > _BONE_DARKER * float(np.median(muscle)):
        return False
    dark, middle, bright = np.percentile(fused.water[fused.body], (10, 50, 90))
    return not bright - dark < _LEAST_CONTRAST * middle


def _called(name: str) -> str:
    plain = name if name in ("quadriceps", "hamstrings") else by_name(name).display_name.lower()
    return f"the {plain}"
