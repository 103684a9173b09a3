"""From ellipses to voxels: each point inside the fascia belongs to the part that it is deepest in.

The distance of a point to an ellipse is measured along the ray from the centre;
it is negative inside. The smallest distance wins. This is an additively weighted
Voronoi partition (an Apollonius diagram): a larger ellipse moves its borders into
its neighbours, and no two structures overlap.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from phantom.reference import Kind

__all__ = ["PART_COLUMNS", "OutlineTable", "PartTable", "TissueModel", "rasterise"]

# One row of a part table: 0 active, 1-2 centre (x, y), 3-4 half axes, 5-6 cosine and sine of the rotation.
PART_COLUMNS = 7

# Proton signal by tissue, in arbitrary units chosen so that muscle in the water image is in the
# middle of the network's intensity window [80, 450] (method, section 5).
MUSCLE, FAT, VISCERA, VESSEL, SKIN, CORTICAL, MARROW, AIR = (
    275.0,
    400.0,
    250.0,
    170.0,
    150.0,
    30.0,
    330.0,
    15.0,
)


# The tables are named tuples because numba takes no dataclass.
class PartTable(NamedTuple):
    """Position of every part on every slice, for the right and the left side.

    Attributes
    ----------
    rows : ndarray, shape (2, z, part, `PART_COLUMNS`), float32
        Side 0 is the right (x < 0), side 1 the left (x > 0); millimetres, lateral from the mid-plane.
    labels : ndarray, shape (part,), uint8
    kinds : ndarray, shape (part,), uint8
        `phantom.reference.Kind`.
    fat_fractions : ndarray, shape (part,), float32
        Fat fraction of the tissue inside the part.
    """

    rows: NDArray[np.float32]
    labels: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    fat_fractions: NDArray[np.float32]


class OutlineTable(NamedTuple):
    """Fascia and fat thickness by slice.

    Attributes
    ----------
    leg : ndarray, shape (2, z, 8), float32
        `phantom.reference.Envelope` columns for each side; NaN above and below the leg.
    trunk : ndarray, shape (z, 8), float32
    wall : ndarray, shape (z, 6), float32
        Abdominal wall: thickness of the oblique and of the rectus sheet (mm; 0
        if absent), and the angles (radians from the front) at which the rectus
        starts and ends and the oblique starts and ends.
    arm : ndarray, shape (2, z, 5), float32
        Centre (lateral, posterior), half axes (lateral, sagittal) and thickness of the fat below the skin, mm; NaN
        where there is no arm. Arms have no labels.
    """

    leg: NDArray[np.float32]
    trunk: NDArray[np.float32]
    wall: NDArray[np.float32]
    arm: NDArray[np.float32]


class TissueModel(NamedTuple):
    """Properties that the ellipses do not hold.

    Attributes
    ----------
    fill_mm : float32
        Points farther than this from every muscle are fat.
    plane_mm : float32
        Half thickness of the fat plane between neighbours.
    oblique_label, rectus_label : int
    oblique_fat, rectus_fat : float32
        Fat fraction of the sheets of the abdominal wall.
    """

    fill_mm: np.float32
    plane_mm: np.float32
    oblique_label: int
    rectus_label: int
    oblique_fat: np.float32
    rectus_fat: np.float32


def rasterise(
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    part_table: PartTable,
    outlines: OutlineTable,
    model: TissueModel,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Compute labels, proton signal and fat fraction on an axis-aligned grid.

    Parameters
    ----------
    x_mm, y_mm : ndarray
        LPS coordinates of columns and rows, relative to the body's mid-plane and hip axis.
    part_table, outlines
        Already evaluated at the slices.
    model : TissueModel

    Returns
    -------
    labels, signal, fat_fraction : ndarray, shape (z, y, x)
    """
    shape = (part_table.rows.shape[1], len(y_mm), len(x_mm))
    labels = np.zeros(shape, dtype=np.uint8)
    signal = np.zeros(shape, dtype=np.float32)
    fat_fraction = np.zeros(shape, dtype=np.float32)
    _rasterise(
        x_mm.astype(np.float32), y_mm.astype(np.float32), part_table, outlines, model, labels, signal, fat_fraction
    )
    return labels, signal, fat_fraction


@numba.njit(cache=True, inline="always")
def _ellipse_depth(dx, dy, half_x, half_front, half_back):  # type: ignore[no-untyped-def]
    """Depth inside an ellipse along the ray from its centre; negative outside."""
    half_y = half_front if dy < 0 else half_back
    q = math.sqrt((dx / half_x) ** 2 + (dy / half_y) ** 2)
    r = math.sqrt(dx * dx + dy * dy)
    if q < 1e-6:
        return min(half_x, half_y)
    return r / q - r


@numba.njit(cache=True, inline="always")
def _fat_thickness(dx, dy, front, side, back):  # type: ignore[no-untyped-def]
    """Thickness of the subcutaneous fat in a direction; squared cosines weight front, side and back."""
    r2 = dx * dx + dy * dy
    if r2 < 1e-6:
        return side
    along = dy * dy / r2
    return side * (1.0 - along) + (front if dy < 0 else back) * along


@numba.njit(cache=True, inline="always")
def _arm_tissue(depth, fat_mm, from_centre_mm):  # type: ignore[no-untyped-def]
    """Signal and fat fraction at a depth below the skin of an arm; nothing outside."""
    if depth < 0:
        return 0.0, 0.0
    if depth < 1.8:
        return SKIN, 0.15
    if depth < 1.8 + fat_mm:
        return FAT, 0.93
    if from_centre_mm < 10.0:
        return (MARROW, 0.85) if from_centre_mm < 6.5 else (CORTICAL, 0.2)
    return MUSCLE * 0.92 + FAT * 0.08, 0.08


@numba.njit(cache=True, inline="always")
def _depths(u, v, leg, trunk):  # type: ignore[no-untyped-def]
    """Depth of a point below the fascia, the skin and the outer face of the abdominal wall; mm, negative outside.

    ``u`` is the distance from the mid-plane, ``v`` that behind the hip axis, mm; ``leg`` and ``trunk`` are rows of the
    `OutlineTable`.
    """
    fascia = -1e9
    skin = -1e9
    wall = 1e9
    if not math.isnan(leg[0]):
        dx, dy = u - leg[0], v - leg[1]
        fascia = _ellipse_depth(dx, dy, leg[2], leg[3], leg[4])
        skin = fascia + _fat_thickness(dx, dy, leg[5], leg[6], leg[7])
    if not math.isnan(trunk[0]):
        dx, dy = u - trunk[0], v - trunk[1]
        wall = _ellipse_depth(dx, dy, trunk[2], trunk[3], trunk[4])
        fascia = max(fascia, wall)
        skin = max(skin, wall + _fat_thickness(dx, dy, trunk[5], trunk[6], trunk[7]))
    return fascia, skin, wall


@numba.njit(cache=True, inline="always")
def _arm_at(u, v, arm):  # type: ignore[no-untyped-def]
    """Signal and fat fraction at a point outside trunk and legs: of an arm, or of nothing."""
    if math.isnan(arm[0]):
        return 0.0, 0.0
    dx, dy = u - arm[0], v - arm[1]
    depth = _ellipse_depth(dx, dy, arm[2], arm[3], arm[3])
    return _arm_tissue(depth, arm[4], math.sqrt(dx * dx + dy * dy))


@numba.njit(cache=True, inline="always")
def _deepest_part(u, v, rows, active, part_labels, part_kinds):  # type: ignore[no-untyped-def]
    """Distances (mm) to the part that a point is deepest in and to its nearest neighbour, and the part or -1."""
    best, second, best_part = 1e9, 1e9, -1
    label = 0
    for p in active:
        dx = u - rows[p, 1]
        dy = v - rows[p, 2]
        cosine, sine = rows[p, 5], rows[p, 6]
        across = cosine * dx - sine * dy
        along = sine * dx + cosine * dy
        q = math.sqrt((across / rows[p, 3]) ** 2 + (along / rows[p, 4]) ** 2)
        r = math.sqrt(dx * dx + dy * dy)
        distance = r - r / q if q > 1e-6 else -min(rows[p, 3], rows[p, 4])
        if part_kinds[p] == Kind.BONE:
            if distance < 0:  # bone is rigid: neighbours never take part of it
                best, best_part = distance, p
                break
            continue
        if distance < best:
            # Two courses of one muscle (psoas and iliacus) have no fat plane between them.
            if best_part < 0 or part_labels[p] != label or label == 0:
                second = best
            best, best_part, label = distance, p, part_labels[p]
        elif distance < second and (part_labels[p] != label or label == 0):
            second = distance
    return best, second, best_part


@numba.njit(cache=True, inline="always")
def _wall_sheet(u, dv, wall, depth, best, second):  # type: ignore[no-untyped-def]
    """The sheet of the abdominal wall that a point is deeper in than in every part, and the two distances with it.

    ``dv`` is the distance behind the trunk's centre; the sheet is 0 for none, 1 for the oblique, 2 for the rectus.
    """
    sheet = 0
    if wall[0] > 0 or wall[1] > 0:
        angle = math.atan2(u, -dv)
        radius = math.sqrt(u * u + dv**2)
        for which in range(2):
            half = 0.5 * wall[which]
            if half <= 0:
                continue
            start, end = (wall[4], wall[5]) if which == 0 else (wall[2], wall[3])
            beyond = radius * max(start - angle, angle - end)
            distance = max(abs(depth - half) - half, beyond)
            if distance < best:
                second = best
                best = distance
                sheet = which + 1
            elif distance < second:
                second = distance
    return best, second, sheet


@numba.njit(cache=True, inline="always")
def _full_signal(kind):  # type: ignore[no-untyped-def]
    """Proton signal of a part without fat, by its kind."""
    if kind == Kind.MUSCLE:
        return MUSCLE
    if kind == Kind.VISCERA:
        return VISCERA
    return VESSEL if kind == Kind.VESSEL else AIR


@numba.njit(cache=True, parallel=True)
def _rasterise(xs, ys, parts, outlines, model, labels, signal, fat_fraction):  # type: ignore[no-untyped-def]
    """Fill ``labels``, ``signal`` and ``fat_fraction``, (z, y, x), which are 0 before."""
    # The cases of a voxel stay in the loop: a function that returned its three values would take a fifth more time.
    for k in numba.prange(labels.shape[0]):
        trunk, wall = outlines.trunk[k], outlines.wall[k]
        for side in range(2):
            rows, leg, arm = parts.rows[side, k], outlines.leg[side, k], outlines.arm[side, k]
            columns = np.flatnonzero((xs > 0) == (side == 1))
            active = np.flatnonzero(rows[:, 0] > 0)
            for j in range(ys.shape[0]):
                v = ys[j]
                for i in columns:
                    u = abs(xs[i])
                    below_fascia, below_skin, below_wall = _depths(u, v, leg, trunk)
                    if below_skin < 0:
                        signal[k, j, i], fat_fraction[k, j, i] = _arm_at(u, v, arm)
                        continue
                    if below_fascia < 0:
                        skin = below_skin < 1.8
                        signal[k, j, i] = SKIN if skin else FAT
                        fat_fraction[k, j, i] = 0.15 if skin else 0.93
                        continue

                    best, second, part = _deepest_part(u, v, rows, active, parts.labels, parts.kinds)
                    if part >= 0 and parts.kinds[part] == Kind.BONE:
                        labels[k, j, i] = parts.labels[part]
                        cortical = best > -2.2
                        signal[k, j, i] = CORTICAL if cortical else MARROW
                        fat_fraction[k, j, i] = 0.2 if cortical else parts.fat_fractions[part]
                        continue

                    best, second, sheet = _wall_sheet(u, v - trunk[1], wall, below_wall, best, second)
                    if best > model.fill_mm:
                        signal[k, j, i] = FAT
                        fat_fraction[k, j, i] = 0.88
                        continue
                    if sheet == 1:
                        label, total, base = model.oblique_label, MUSCLE, model.oblique_fat
                    elif sheet == 2:
                        label, total, base = model.rectus_label, MUSCLE, model.rectus_fat
                    else:
                        label, base = parts.labels[part], parts.fat_fractions[part]
                        total = _full_signal(parts.kinds[part])
                    gap = 0.5 * (second - best)
                    share = max(0.0, 1.0 - gap / model.plane_mm) * 0.6
                    fat = base + (0.9 - base) * share
                    labels[k, j, i] = label
                    fat_fraction[k, j, i] = fat
                    signal[k, j, i] = total * (1.0 - fat) + FAT * fat
