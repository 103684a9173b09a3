"""Whether labels can be what their names say: where muscles and bones lie, and how bright they are.

A label list of another version gives structures each other's names. Numbers
alone often cannot tell, but no quadriceps lies where an iliopsoas does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, BACKGROUND_INDEX, HAMSTRINGS, QUADRICEPS, by_index, by_name
from operators.core.label_map import LabelMap
from operators.core.volume import Fused, Grid, QualityFlag

__all__ = ["anatomy_flags", "contradictions"]

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

_EVERY_OTHER = (slice(None, None, 2),) * 3
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
    least = _LEAST_CM3 * 1000.0 / fused.grid.voxel_volume_mm3
    large = {name: where for name, where in _with_groups(structures).items() if np.count_nonzero(where) >= least}
    needed = {name for one, _, other in _RULES for name in (one, other)}
    centres = {name: _centre_mm(where, fused) for name, where in large.items() if name in needed}
    found = []
    for one, relation, other in _RULES:
        if one in centres and other in centres:
            apart = (centres[one] - centres[other])[{"behind": 1, "above": 2}[relation]]
            if apart < -_MARGIN_MM:
                found.append(f"{_called(one)} does not lie {relation} {_called(other)}")
    if _femur_is_bright(large, fused):
        found.append("the femur is as bright as muscle in the water image")
    return found


def anatomy_flags(labels: LabelMap, fused: Fused) -> tuple[QualityFlag, ...]:
    """``implausible-anatomy`` (warning) where our own network's labels are anatomically impossible.

    It labels any image: a fat image that is taken for water, an image with a bright background.
    """
    voxels, fused = np.asarray(labels.voxels, dtype=np.uint8)[_EVERY_OTHER], _coarser(fused)
    present = np.flatnonzero(np.bincount(voxels.ravel())).tolist()
    structures = {by_index(n).name: voxels == n for n in present if n not in (BACKGROUND_INDEX, ADIPOSE_INDEX)}
    if not (wrong := contradictions(structures, fused)):
        return ()
    message = (
        f"The labels cannot be right: {'; '.join(wrong)}. Look at the water image: is muscle bright in it, fat and air "
        "dark, and the head up?"
    )
    return (QualityFlag("implausible-anatomy", "warning", message),)


def _coarser(fused: Fused) -> Fused:
    """Every other voxel along each axis: centres of structures need no more, and every study is looked at."""
    body = fused.body[_EVERY_OTHER]
    return replace(
        fused,
        water=fused.water[_EVERY_OTHER],
        fat=fused.fat[_EVERY_OTHER],
        in_phase=fused.in_phase[_EVERY_OTHER],
        opposed=fused.opposed[_EVERY_OTHER],
        body=body,
        fat_fraction=fused.fat_fraction[_EVERY_OTHER],
        grid=Grid(body.shape, fused.grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])),
    )


def _with_groups(structures: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """The structures, and the two groups where all or some of their members are labelled one by one."""
    whole = dict(structures)
    for group, members in (("quadriceps", QUADRICEPS), ("hamstrings", HAMSTRINGS)):
        present = [structures[name] for name in members if name in structures]
        if present and group not in whole:
            whole[group] = np.logical_or.reduce(present)
    return whole


def _centre_mm(where: NDArray[np.bool_], fused: Fused) -> NDArray[np.float64]:
    k, j, i = (float(np.mean(axis)) for axis in np.nonzero(where))
    return np.asarray((fused.grid.affine @ [i, j, k, 1.0])[:3])


def _femur_is_bright(structures: Mapping[str, NDArray[np.bool_]], fused: Fused) -> bool:
    muscles = [where for name, where in structures.items() if name not in ("femur", "iliac_bone")]
    if "femur" not in structures or not muscles or not fused.body.any():
        return False
    dark, middle, bright = np.percentile(fused.water[fused.body], (10, 50, 90))
    if bright - dark < _LEAST_CONTRAST * middle:
        return False
    muscle = float(np.median(fused.water[np.logical_or.reduce(muscles)]))
    return float(np.median(fused.water[structures["femur"]])) > _BONE_DARKER * muscle


def _called(name: str) -> str:
    plain = name if name in ("quadriceps", "hamstrings") else by_name(name).display_name.lower()
    return f"the {plain}"
