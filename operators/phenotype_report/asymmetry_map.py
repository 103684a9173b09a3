"""A map of the body from the front and the back, coloured by which side of each muscle is larger."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from operators.core.anatomy import STRUCTURES, Tissue
from operators.core.phenotypes.formulas import left_right_asymmetry
from operators.core.volume import Grid, Volume
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.pictures import Plane, display_order, display_spacing_mm, plane_axis

__all__ = ["FULL_COLOUR", "asymmetry_map"]

FULL_COLOUR = 0.2
"""Asymmetry that has the full colour."""

_LARGER, _SMALLER = np.array([33, 102, 172.0]), np.array([224, 130, 20.0])
_EQUAL, _BONE, _UNKNOWN = np.array([240, 240, 240.0]), np.array([196, 200, 204.0]), np.array([150, 150, 150.0])
_PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_EDGE = 0.45
_PIXEL_MM = 1.5
_GAP_PIXELS = 24


def asymmetry_map(labels: Volume, measurements: Measurements) -> bytes | None:
    """Draw the map.

    Parameters
    ----------
    labels : Volume, uint8
    measurements : Measurements
        Give the volumes of each side and the surface between them.

    Returns
    -------
    bytes or None
        A PNG with transparent ground: the front, as seen from the front, and the
        back with the patient's right on the same side. None if left and right
        are not known, or slices are not axial.
    """
    axial = [plane_axis(labels.grid, plane) for plane in _PLANES] == [0, 1, 2]
    if measurements.mid_surface is None or measurements.withheld or not axial:
        return None
    voxels = display_order(np.asarray(labels.voxels, np.uint8), labels.grid)
    columns = _left_columns(labels.grid, measurements)
    colours = _colours(measurements)
    views = []
    for seen in (voxels, voxels[:, ::-1]):
        first = (seen > 0).argmax(axis=1)
        front = np.take_along_axis(seen, first[:, None], axis=1)[:, 0]
        views.append(_drawn(front, columns, colours, labels.grid))
    rows = np.flatnonzero(np.concatenate(views, axis=1)[..., 3].any(axis=1))
    if not rows.size:
        return None
    both = []
    for view in views:
        inside = np.flatnonzero(view[..., 3].any(axis=0))
        both += [view[rows[0] : rows[-1] + 1, inside[0] : inside[-1] + 1]]
    gap = np.zeros((len(both[0]), _GAP_PIXELS, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([both[0], gap, both[1]], axis=1)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _left_columns(grid: Grid, measurements: Measurements) -> NDArray[np.bool_]:
    """For each slice and column in display order, whether it is on the patient's left (at the surface's reference)."""
    assert measurements.mid_surface is not None
    surface, (depth, rows, width) = measurements.mid_surface, grid.shape
    k, i = np.mgrid[:depth, :width].astype(np.float64)
    j = (rows - 1) / 2
    x, y, z = (a[0] * i + a[1] * j + a[2] * k + a[3] for a in grid.affine[:3])
    left = x > surface.x_at(y, z)
    return np.asarray(display_order(np.broadcast_to(left[:, None], grid.shape), grid)[:, 0])


def _colours(measurements: Measurements) -> NDArray[np.float64]:
    """RGB of each label on the right and the left: shape (labels, 2, 3)."""
    table = np.zeros((len(STRUCTURES) + 2, 2, 3))
    for measure in measurements.structures:
        index, left, right = measure.structure.index, measure.left_cm3, measure.right_cm3
        if measure.structure.tissue is Tissue.BONE:
            table[index] = _BONE
        elif not left or not right:
            table[index] = _UNKNOWN
        else:
            share = min(1.0, float(left_right_asymmetry(left, right) or 0.0) / FULL_COLOUR)
            for side, larger in ((0, right > left), (1, left > right)):
                table[index, side] = _EQUAL + share * ((_LARGER if larger else _SMALLER) - _EQUAL)
    return table


def _drawn(
    front: NDArray[np.uint8], left: NDArray[np.bool_], colours: NDArray[np.float64], grid: Grid
) -> NDArray[np.uint8]:
    dz, _, dx = display_spacing_mm(grid)
    front = np.where(front <= len(STRUCTURES), front, 0)
    size = (round(front.shape[1] * dx / _PIXEL_MM), round(front.shape[0] * dz / _PIXEL_MM))
    shown = np.asarray(Image.fromarray(front).resize(size, Image.Resampling.NEAREST))
    side = np.asarray(Image.fromarray(left.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    edge = np.zeros(shown.shape, bool)
    edge[1:] |= shown[1:] != shown[:-1]
    edge[:, 1:] |= shown[:, 1:] != shown[:, :-1]
    picture = colours[shown, side] * np.where(edge, _EDGE, 1.0)[..., None]
    return np.dstack([picture.round(), 255 * (shown > 0)]).astype(np.uint8)
