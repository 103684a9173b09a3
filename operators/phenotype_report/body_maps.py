"""Maps of the body from the front and the back: muscles coloured by asymmetry, fat or percentile."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from operators.core.anatomy import STRUCTURES, Tissue
from operators.core.phenotypes.formulas import left_right_asymmetry
from operators.core.volume import Grid, Volume
from operators.phenotype_report.measurements import Measurements
from operators.phenotype_report.page_numbers import percent
from operators.phenotype_report.pictures import Plane, display_order, display_spacing_mm, plane_axis

__all__ = ["FULL_COLOUR", "MOST_FAT", "BodyMap", "body_maps"]

FULL_COLOUR = 0.2
"""Asymmetry that has the full colour."""
MOST_FAT = 0.3
"""Fat fraction that has the full colour; `_LEAST_FAT` has none."""
_LEAST_FAT = 0.05

_LARGER, _SMALLER = (33, 102, 172), (224, 130, 20)
_LOW, _HIGH = (224, 130, 20), (33, 102, 172)
_FATTY = (122, 1, 119)
_EQUAL, _BONE, _UNKNOWN = np.array([240, 240, 240.0]), np.array([196, 200, 204.0]), np.array([150, 150, 150.0])
_PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_EDGE = 0.45
_PIXEL_MM = 1.5
_GAP_PIXELS = 24
_SMALLEST_PART = 0.005
"""Of the silhouette. A smaller part is an island of the labels."""


@dataclass(frozen=True)
class BodyMap:
    """One map.

    Attributes
    ----------
    key : {"asymmetry", "fat", "percentile"}
    title : str
    png : bytes
        With a transparent ground: the front, as seen from the front, and the
        back with the patient's right on the same side.
    low, high : str
        What the ends of the colour scale mean.
    scale : str
        The colour scale, as a CSS gradient.
    """

    key: str
    title: str
    png: bytes
    low: str
    high: str
    scale: str


def body_maps(
    labels: Volume, measurements: Measurements, percentiles: Mapping[str, int] | None = None
) -> tuple[BodyMap, ...]:
    """Draw the maps for which there are numbers.

    Parameters
    ----------
    labels : Volume, uint8
    measurements : Measurements
        Give the numbers of each side and the surface between them.
    percentiles : mapping of str to int, optional
        By phenotype. A muscle gets the percentile of its compartment's volume.

    Returns
    -------
    tuple of BodyMap
        Empty if left and right are not known, or slices are not axial.
    """
    axial = [plane_axis(labels.grid, plane) for plane in _PLANES] == [0, 1, 2]
    if measurements.mid_surface is None or measurements.withheld or not axial:
        return ()
    seen = _views(labels, measurements)
    if seen is None:
        return ()
    maps = [
        BodyMap(
            "asymmetry",
            "Asymmetry",
            _drawn(seen, _asymmetry_colours(measurements)),
            f"smaller by {percent(FULL_COLOUR, 0)}",
            f"larger by {percent(FULL_COLOUR, 0)}",
            _gradient(_SMALLER, _LARGER),
        )
    ]
    fat = _fat_colours(measurements)
    if fat is not None:
        least, most = percent(_LEAST_FAT, 0), percent(MOST_FAT, 0)
        maps.append(BodyMap("fat", "Fat in core", _drawn(seen, fat), least, most, _gradient(None, _FATTY)))
    ranked = _percentile_colours(measurements, percentiles or {})
    if ranked is not None:
        scale = _gradient(_LOW, _HIGH)
        maps.append(BodyMap("percentile", "Percentile of volume", _drawn(seen, ranked), "1st", "99th", scale))
    return tuple(maps)


def _views(labels: Volume, measurements: Measurements) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Labels seen from the front and, beside it, from the back; and for each pixel, whether it is on the left."""
    voxels = display_order(np.asarray(labels.voxels, np.uint8), labels.grid)
    columns = _left_columns(labels.grid, measurements)
    dz, _, dx = display_spacing_mm(labels.grid)
    views = []
    for seen in (voxels, voxels[:, ::-1]):
        first = (seen > 0).argmax(axis=1)
        front = np.take_along_axis(seen, first[:, None], axis=1)[:, 0]
        front = _without_islands(np.where(front <= len(STRUCTURES), front, 0).astype(np.uint8))
        size = (round(front.shape[1] * dx / _PIXEL_MM), round(front.shape[0] * dz / _PIXEL_MM))
        views.append([_resized(array, size) for array in (front, columns.astype(np.uint8))])
    rows = np.flatnonzero(np.concatenate([front for front, _ in views], axis=1).any(axis=1))
    if not rows.size:
        return None
    gap = np.zeros((rows[-1] + 1 - rows[0], _GAP_PIXELS), np.uint8)
    sides: list[list[NDArray[np.uint8]]] = [[], []]
    for front, left in views:
        inside = np.flatnonzero(front.any(axis=0))
        box = (slice(rows[0], rows[-1] + 1), slice(inside[0], inside[-1] + 1))
        for found, array in zip(sides, (front, left), strict=True):
            found.append(array[box])
    shown, side = (np.concatenate([first, gap, second], axis=1) for first, second in sides)
    return shown, side


def _without_islands(front: NDArray[np.uint8]) -> NDArray[np.uint8]:
    parts, _ = ndimage.label(front > 0)
    sizes = np.bincount(parts.ravel())
    small = sizes < _SMALLEST_PART * sizes[1:].sum()
    return np.where(small[parts], 0, front).astype(np.uint8)


def _resized(array: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.NEAREST))


def _left_columns(grid: Grid, measurements: Measurements) -> NDArray[np.bool_]:
    """For each slice and column in display order, whether it is on the patient's left (at the surface's reference)."""
    assert measurements.mid_surface is not None
    surface, (depth, rows, width) = measurements.mid_surface, grid.shape
    k, i = np.mgrid[:depth, :width].astype(np.float64)
    j = (rows - 1) / 2
    x, y, z = (a[0] * i + a[1] * j + a[2] * k + a[3] for a in grid.affine[:3])
    left = x > surface.x_at(y, z)
    return np.asarray(display_order(np.broadcast_to(left[:, None], grid.shape), grid)[:, 0])


def _blank() -> NDArray[np.float64]:
    """RGB of each label on the right and the left, shape (labels, 2, 3): bones grey, muscles not known."""
    table = np.zeros((len(STRUCTURES) + 2, 2, 3))
    table[1:] = _UNKNOWN
    table[[s.index for s in STRUCTURES if s.tissue is Tissue.BONE]] = _BONE
    return table


def _asymmetry_colours(measurements: Measurements) -> NDArray[np.float64]:
    table = _blank()
    for measure in measurements.structures:
        left, right = measure.left_cm3, measure.right_cm3
        if measure.structure.tissue is not Tissue.BONE and left and right:
            share = min(1.0, float(left_right_asymmetry(left, right) or 0.0) / FULL_COLOUR)
            for side, larger in ((0, right > left), (1, left > right)):
                table[measure.structure.index, side] = _between(_LARGER if larger else _SMALLER, share)
    return table


def _fat_colours(measurements: Measurements) -> NDArray[np.float64] | None:
    table, known = _blank(), False
    for measure in measurements.structures:
        if measure.fat is None or measure.structure.tissue is Tissue.BONE:
            continue
        for side, fat in ((0, measure.fat[1]), (1, measure.fat[0])):
            if fat.core_fraction is not None:
                share = (fat.core_fraction - _LEAST_FAT) / (MOST_FAT - _LEAST_FAT)
                table[measure.structure.index, side] = _between(_FATTY, min(1.0, max(0.0, share)))
                known = True
    return table if known else None


def _percentile_colours(measurements: Measurements, percentiles: Mapping[str, int]) -> NDArray[np.float64] | None:
    table, known = _blank(), False
    for measure in measurements.structures:
        group = measure.structure.compartment
        found = None if group is None else percentiles.get(f"{group.value}_cm3")
        if found is not None and measure.structure.tissue is not Tissue.BONE and measure.volume_cm3:
            table[measure.structure.index] = _between(_HIGH if found > 50 else _LOW, abs(found - 50) / 50)
            known = True
    return table if known else None


def _between(colour: tuple[int, int, int], share: float) -> NDArray[np.float64]:
    return np.asarray(_EQUAL + share * (np.array(colour, dtype=float) - _EQUAL))


def _gradient(low: tuple[int, int, int] | None, high: tuple[int, int, int]) -> str:
    middle = tuple(round(float(part)) for part in _EQUAL)
    return f"linear-gradient(90deg, {', '.join(f'rgb{colour}' for colour in (low, middle, high) if colour)})"


def _drawn(seen: tuple[NDArray[np.uint8], NDArray[np.uint8]], colours: NDArray[np.float64]) -> bytes:
    shown, side = seen
    edge = np.zeros(shown.shape, bool)
    edge[1:] |= shown[1:] != shown[:-1]
    edge[:, 1:] |= shown[:, 1:] != shown[:, :-1]
    picture = colours[shown, side] * np.where(edge, _EDGE, 1.0)[..., None]
    pixels = np.dstack([picture.round(), 255 * (shown > 0)]).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
