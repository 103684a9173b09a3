"""Sorting of 2-D images in space into one regular stack of slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import GeometryError
from operators.core.volume import Grid
from operators.dicom_loader.frames import Frame
from operators.dicom_loader.orientation import AXIS_NAMES, plane_axis, plane_of

__all__ = ["stack_slices", "z_range_mm"]

#: Neighbours further apart than this many slice spacings have a missing slice between them.
_GAP = 1.5
#: How far a slice may be from its position in a regular stack, in slice spacings.
_IRREGULARITY = 0.25
#: How far images of one stack may be tilted or sheared against each other: in direction cosines, and in millimetres.
_COSINE_TOLERANCE = 1e-3
_LATERAL_TOLERANCE_MM = 0.5
#: Exporters round positions to a millimetre at most. One gap that differs is a slice out of step.
_MOST_ROUNDED_MM = 1.001
_FEWEST_ROUNDED = 2
_FETCH_AGAIN = "Fetch the series again, or leave it out."
#: Over this many missing slices the neighbours still show similar tissue. A longer gap is never interpolated.
_MOST_BRIDGED = 2


def stack_slices(
    frames: Sequence[Frame], where: str, *, allow_missing_slices: bool = False
) -> tuple[list[int], list[int], Grid]:
    """Sort the slices of one stack along its normal, and find its grid.

    Axial slices are sorted inferior to superior, coronal ones anterior to
    posterior and sagittal ones right to left. Only their position along the
    normal counts, never file name or instance number (method, section 3;
    PS3.3 C.7.6.2.1.1). The slice spacing is the median distance between
    neighbours; where positions were rounded, so that there are two distances, that of the line through them.

    Parameters
    ----------
    frames : sequence of Frame
        All images of one series and contrast, in any order.
    where : str
        The series' name in messages.
    allow_missing_slices : bool
        Accept gaps of one or two slices. The grid then includes them.

    Returns
    -------
    order : list of int
        ``frames[order[n]]`` is the n-th slice.
    places : list of int
        Slice index of each in the grid, ascending: 0, 1, 2, ... if no slice is missing.
    grid : Grid

    Raises
    ------
    GeometryError
        For fewer than two slices, images that differ in size, spacing or
        orientation, two slices at one position, or a missing slice that is not allowed.
    """
    if len(frames) < 2:
        raise GeometryError(
            where, f"{len(frames)} slice", "at least 2 slices, so that there is a slice spacing", _FETCH_AGAIN
        )
    first = frames[0]
    _check_alike(frames, first, where)
    normal = np.cross(first.row_direction, first.column_direction)
    axis = plane_axis(plane_of(first.row_direction, first.column_direction))
    # The third axis points to the head (the back, the left), whether that makes the system right-handed or left-handed.
    forward = normal * np.sign(normal[axis])
    positions = np.array([frame.position_mm for frame in frames])
    heights = positions @ forward
    order = np.argsort(heights, kind="stable")
    positions, heights = positions[order], heights[order]
    spacing, places = _slice_places(heights, positions[:, axis], AXIS_NAMES[axis], where, allow_missing_slices)
    _check_straight(positions, forward, axis, where)

    affine = np.eye(4)
    affine[:3, 0] = first.row_direction * first.spacing_mm[0]
    affine[:3, 1] = first.column_direction * first.spacing_mm[1]
    affine[:3, 2] = forward * spacing
    affine[:3, 3] = positions[0]
    return [int(n) for n in order], places, Grid((places[-1] + 1, first.rows, first.columns), affine)


def z_range_mm(grid: Grid) -> tuple[float, float]:
    """LPS z of the lowest and the highest voxel centre of a grid."""
    extent = np.array(grid.shape[::-1]) - 1
    steps = grid.affine[2, :3] * extent
    low = grid.affine[2, 3] + steps[steps < 0].sum()
    return float(low), float(low + np.abs(steps).sum())


def _check_alike(frames: Sequence[Frame], first: Frame, where: str) -> None:
    for frame in frames:
        if (frame.rows, frame.columns) != (first.rows, first.columns):
            found = f"images of {first.columns} x {first.rows} and of {frame.columns} x {frame.rows} voxels"
        elif frame.spacing_mm != first.spacing_mm and not np.allclose(
            frame.spacing_mm, first.spacing_mm, rtol=1e-3, atol=0
        ):
            found = f"images with PixelSpacing {first.spacing_mm[::-1]} and {frame.spacing_mm[::-1]}"
        elif frame.row_direction is not first.row_direction and (
            np.abs(frame.row_direction - first.row_direction).max() > _COSINE_TOLERANCE
            or np.abs(frame.column_direction - first.column_direction).max() > _COSINE_TOLERANCE
        ):
            found = "images of different orientation"
        else:
            continue
        raise GeometryError(where, found, "one size, spacing and orientation in a series", _FETCH_AGAIN)


def _slice_places(
    heights: NDArray[np.float64], mm: NDArray[np.float64], axis: str, where: str, allow_missing_slices: bool
) -> tuple[float, list[int]]:
    """Distance between neighbours, and slice indices.

    ``heights`` are positions along the normal in ascending order, and ``mm`` their LPS coordinates along ``axis``.
    """
    gaps = np.diff(heights)
    rounded = _rounded_spacing(heights)
    spacing = rounded or float(np.median(gaps))
    # A series that is stored twice has a median of zero, but its duplicates must still be reported.
    twice = np.flatnonzero(gaps <= max(0.01, 0.1 * spacing))
    if twice.size:
        raise GeometryError(
            where,
            f"{twice.size + 1 if twice.size > 1 else 'two'} slices share a position "
            f"(first at {axis} = {mm[twice[0]]:.1f} mm)",
            "each slice position once",
            "Remove the surplus images, or fetch the series again.",
        )
    wide = np.flatnonzero(gaps > _GAP * spacing)
    steps = np.ones(gaps.size, dtype=np.int64)
    steps[wide] = np.clip(np.rint(gaps[wide] / spacing), 2, 10**9)
    if wide.size and not (allow_missing_slices and steps.max() <= _MOST_BRIDGED + 1):
        missing = [
            float(mm[k] + (mm[k + 1] - mm[k]) * step / steps[k])
            for k in wide
            for step in range(1, min(int(steps[k]), 7))
        ]
        count = int((steps - 1).sum())
        shown = ", ".join(f"{height:.1f}" for height in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise GeometryError(
            where,
            f"{count} missing slice{'s' if count > 1 else ''}, at {axis} = {shown} mm",
            f"a slice every {spacing:.2f} mm",
            "Fetch the series again."
            if allow_missing_slices
            else f"Fetch the series again, or allow missing slices: up to {_MOST_BRIDGED} in a row are interpolated.",
        )
    places = np.concatenate([[0], np.cumsum(steps)])
    regular = heights[0] + spacing * places
    if rounded:
        regular += float((heights - regular).mean())  # the first position was rounded too
    worst = int(np.abs(heights - regular).argmax())
    if abs(heights[worst] - regular[worst]) > _IRREGULARITY * spacing:
        raise GeometryError(
            where,
            f"slice distances from {gaps.min():.2f} to {gaps.max():.2f} mm (slice at {axis} = {mm[worst]:.1f} mm)",
            f"a slice every {spacing:.2f} mm",
            _FETCH_AGAIN,
        )
    return spacing, [int(place) for place in places]


def _rounded_spacing(heights: NDArray[np.float64]) -> float | None:
    """The distance of slices whose positions were rounded; None where they were not.

    Such neighbours are one of two distances apart, and neither is the distance of the slices: over a station of 44
    slices, 4.4 mm for 4.37 mm are 1.3 mm too much.
    """
    gaps = np.diff(heights)
    distances, counts = np.unique(gaps.round(2), return_counts=True)
    if distances.size != 2 or counts.min() < _FEWEST_ROUNDED:
        return None
    # A gap twice as wide would be a missing slice.
    if distances[1] - distances[0] > min(_MOST_ROUNDED_MM, distances[0] / 2):
        return None
    return float(np.polyfit(np.arange(heights.size), heights, 1)[0])


def _check_straight(positions: NDArray[np.float64], forward: NDArray[np.float64], axis: int, where: str) -> None:
    """Check that the first voxels of all slices are on one line along the normal; otherwise no affine fits them."""
    offsets = positions - positions[0]
    lateral = np.linalg.norm(offsets - np.outer(offsets @ forward, forward), axis=1)
    worst = int(lateral.argmax())
    if lateral[worst] > _LATERAL_TOLERANCE_MM:
        raise GeometryError(
            where,
            f"slice at {AXIS_NAMES[axis]} = {positions[worst, axis]:.1f} mm is {lateral[worst]:.1f} mm off the stack's "
            "axis",
            "slices exactly above one another",
            _FETCH_AGAIN,
        )
