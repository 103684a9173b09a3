"""From ellipses to voxels: each point inside the fascia belongs to the part that it is deepest in.

The distance of a point to an ellipse is measured along the ray from the centre;
it is negative inside. The smallest distance wins. This is an additively weighted
Voronoi partition (an Apollonius diagram): a larger ellipse moves its borders into
its neighbours, and no two structures overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class PartTable:
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


@dataclass(frozen=True)
class OutlineTable:
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


@dataclass(frozen=True)
class TissueModel:
    """Properties that the ellipses do not hold.

    Attributes
    ----------
    fill_mm : float
        Points farther than this from every muscle are fat.
    plane_mm : float
        Half thickness of the fat plane between neighbours.
    oblique_label, rectus_label : int
    oblique_fat, rectus_fat : float
    """

    fill_mm: float
    plane_mm: float
    oblique_label: int
    rectus_label: int
    oblique_fat: float
    rectus_fat: float


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
        x_mm.astype(np.float32),
        y_mm.astype(np.float32),
        part_table.rows,
        part_table.labels,
        part_table.kinds,
        part_table.fat_fractions,
        outlines.leg,
        outlines.trunk,
        outlines.wall,
        outlines.arm,
        np.array([model.fill_mm, model.plane_mm, model.oblique_fat, model.rectus_fat], dtype=np.float32),
        np.array([model.oblique_label, model.rectus_label], dtype=np.uint8),
        labels,
        signal,
        fat_fraction,
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


@numba.njit(cache=True, parallel=True)
def _rasterise(  # type: ignore[no-untyped-def]
    xs,
    ys,
    rows,
    part_labels,
    part_kinds,
    part_fat,
    leg,
    trunk,
    wall,
    arm,
    model,
    wall_labels,
    labels,
    signal,
    fat_fraction,
):
    fill, plane = model[0], model[1]
    for k in numba.prange(labels.shape[0]):
        active = np.empty((2, rows.shape[2]), dtype=np.int32)
        count = np.zeros(2, dtype=np.int32)
        for side in range(2):
            for p in range(rows.shape[2]):
                if rows[side, k, p, 0] > 0:
                    active[side, count[side]] = p
                    count[side] += 1
        has_trunk = not math.isnan(trunk[k, 0])
        for j in range(ys.shape[0]):
            v = ys[j]
            for i in range(xs.shape[0]):
                side = 1 if xs[i] > 0 else 0
                u = abs(xs[i])
                depth = -1e9
                fat_depth = -1e9  # how deep inside the skin
                wall_depth = 1e9
                if not math.isnan(leg[side, k, 0]):
                    dx, dy = u - leg[side, k, 0], v - leg[side, k, 1]
                    depth = _ellipse_depth(dx, dy, leg[side, k, 2], leg[side, k, 3], leg[side, k, 4])
                    fat_depth = depth + _fat_thickness(dx, dy, leg[side, k, 5], leg[side, k, 6], leg[side, k, 7])
                if has_trunk:
                    dx, dy = u - trunk[k, 0], v - trunk[k, 1]
                    inside = _ellipse_depth(dx, dy, trunk[k, 2], trunk[k, 3], trunk[k, 4])
                    wall_depth = inside
                    depth = max(depth, inside)
                    fat_depth = max(fat_depth, inside + _fat_thickness(dx, dy, trunk[k, 5], trunk[k, 6], trunk[k, 7]))
                if fat_depth < 0:
                    if not math.isnan(arm[side, k, 0]):
                        dx, dy = u - arm[side, k, 0], v - arm[side, k, 1]
                        inside = _ellipse_depth(dx, dy, arm[side, k, 2], arm[side, k, 3], arm[side, k, 3])
                        signal[k, j, i], fat_fraction[k, j, i] = _arm_tissue(
                            inside, arm[side, k, 4], math.sqrt(dx * dx + dy * dy)
                        )
                    continue
                if depth < 0:
                    skin = fat_depth < 1.8
                    signal[k, j, i] = SKIN if skin else FAT
                    fat_fraction[k, j, i] = 0.15 if skin else 0.93
                    continue

                best, second, best_part = 1e9, 1e9, -1
                label = 0
                is_bone = False
                for n in range(count[side]):
                    p = active[side, n]
                    dx = u - rows[side, k, p, 1]
                    dy = v - rows[side, k, p, 2]
                    cosine, sine = rows[side, k, p, 5], rows[side, k, p, 6]
                    across = cosine * dx - sine * dy
                    along = sine * dx + cosine * dy
                    q = math.sqrt((across / rows[side, k, p, 3]) ** 2 + (along / rows[side, k, p, 4]) ** 2)
                    r = math.sqrt(dx * dx + dy * dy)
                    distance = r - r / q if q > 1e-6 else -min(rows[side, k, p, 3], rows[side, k, p, 4])
                    if part_kinds[p] == 0:
                        if distance < 0:  # bone is rigid: neighbours never take part of it
                            is_bone = True
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

                if is_bone:
                    labels[k, j, i] = part_labels[best_part]
                    cortical = best > -2.2
                    signal[k, j, i] = CORTICAL if cortical else MARROW
                    fat_fraction[k, j, i] = 0.2 if cortical else part_fat[best_part]
                    continue

                sheet = 0  # the abdominal wall: 1 oblique, 2 rectus
                if wall[k, 0] > 0 or wall[k, 1] > 0:
                    angle = math.atan2(u, -(v - trunk[k, 1]))
                    radius = math.sqrt(u * u + (v - trunk[k, 1]) ** 2)
                    for which in range(2):
                        half = 0.5 * wall[k, which]
                        if half <= 0:
                            continue
                        start, end = (wall[k, 4], wall[k, 5]) if which == 0 else (wall[k, 2], wall[k, 3])
                        beyond = radius * max(start - angle, angle - end)
                        distance = max(abs(wall_depth - half) - half, beyond)
                        if distance < best:
                            second = best
                            best = distance
                            sheet = which + 1
                        elif distance < second:
                            second = distance

                if best > fill:
                    signal[k, j, i] = FAT
                    fat_fraction[k, j, i] = 0.88
                    continue
                gap = 0.5 * (second - best)
                share = max(0.0, 1.0 - gap / plane) * 0.6
                if sheet > 0:
                    labels[k, j, i] = wall_labels[sheet - 1]
                    base = model[1 + sheet]
                    total = MUSCLE
                else:
                    labels[k, j, i] = part_labels[best_part]
                    base = part_fat[best_part]
                    kind = part_kinds[best_part]
                    total = MUSCLE if kind == 1 else (VISCERA if kind == 2 else (VESSEL if kind == 3 else AIR))
                fat = base + (0.9 - base) * share
                fat_fraction[k, j, i] = fat
                signal[k, j, i] = total * (1.0 - fat) + FAT * fat
