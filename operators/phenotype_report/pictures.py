"""Slices of the fused water image with the labels drawn over them, as PNG.

Pictures follow the radiological convention: the patient's right is on the left
of the picture, and anterior or superior is up.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from operators.core.anatomy import ADIPOSE_INDEX, STRUCTURES, by_name
from operators.core.volume import Fused, Grid
from operators.phenotype_report.mid_surface import MidSurface

__all__ = [
    "Plane",
    "busiest_slice",
    "display_order",
    "display_spacing_mm",
    "overlay_png",
    "plane_axis",
    "spread_slices",
]

Plane = Literal["axial", "coronal", "sagittal"]

# The LPS axes (0 = x, 1 = y, 2 = z) normal to the picture, down it and along
# it; and whether the axis that runs down must be flipped.
_LAYOUT: dict[Plane, tuple[int, int, int, bool]] = {
    "axial": (2, 1, 0, False),
    "coronal": (1, 2, 0, True),
    "sagittal": (0, 2, 1, True),
}
_FILL = 0.38
_OUTLINE = 0.95
_MARGIN_MM = 18.0
_BRIGHTEST_PERCENTILE = 99.7
_PNG_LEVEL = 4  # zlib's highest takes 25 times as long for files that are 17% smaller

_HEIGHTS = (("Axial, upper quarter", 0.75), ("Axial, middle", 0.5), ("Axial, lower quarter", 0.25))
"""Share of the slices with a body that are inferior to it."""


def plane_axis(grid: Grid, plane: Plane) -> int:
    """The axis of a (z, y, x) array that is nearest to the normal of ``plane``."""
    return _array_axes(grid)[_LAYOUT[plane][0]]


def spread_slices(fused: Fused) -> tuple[tuple[str, Plane, int], ...]:
    """The coronal slice that shows most of the body, and axial ones at different heights of it."""

    def along(plane: Plane) -> NDArray[np.int64]:
        axis = plane_axis(fused.grid, plane)
        return np.asarray(fused.body.sum(axis=tuple(a for a in range(3) if a != axis)))

    shown = np.flatnonzero(along("axial"))
    if fused.grid.affine[2, 2 - plane_axis(fused.grid, "axial")] < 0:
        shown = shown[::-1]
    found: list[tuple[str, Plane, int]] = [("Coronal", "coronal", int(along("coronal").argmax()))]
    for title, height in _HEIGHTS:
        index = int(shown[round(height * (shown.size - 1))]) if shown.size else 0
        if all(index != other for _, plane, other in found if plane == "axial"):
            found.append((title, "axial", index))
    return tuple(found)


def display_order(array: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """A view of the array whose slices run from superior to inferior, rows to posterior, columns to the left.

    Axes are those nearest to the patient's, so an oblique grid is shown as acquired.
    """
    x, y, z = _array_axes(grid)
    turned = np.moveaxis(array, (z, y, x), (0, 1, 2))
    return turned[:: _direction(grid, 2, True), :: _direction(grid, 1, False), :: _direction(grid, 0, False)]


def display_spacing_mm(grid: Grid) -> tuple[float, float, float]:
    """Distance of slices, rows and columns in `display_order`."""
    x, y, z = (grid.spacing_mm[2 - axis] for axis in _array_axes(grid))
    return z, y, x


def busiest_slice(
    labels: NDArray[np.uint8],
    grid: Grid,
    plane: Plane,
    structures: Iterable[str] | None = None,
    taken: Iterable[int] = (),
    apart: int = 1,
) -> int:
    """Index along the normal of ``plane`` of the slice with the most labelled voxels; the middle slice if none has any.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x), uint8
    grid : Grid
    plane : {"axial", "coronal", "sagittal"}
    structures : iterable of str, optional
        The structures to count; all by default.
    taken : iterable of int
        Slices that are chosen already. Those that lie less than ``apart`` slices from one of them do not count.
    apart : int
    """
    chosen = np.zeros(256, dtype=bool)
    chosen[
        [by_name(name).index for name in structures] if structures is not None else [s.index for s in STRUCTURES]
    ] = 1
    axis = plane_axis(grid, plane)
    counts = chosen[labels].sum(axis=tuple(a for a in range(3) if a != axis))
    for index in taken:
        counts[max(0, index - apart + 1) : index + apart] = 0
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2


def overlay_png(
    water: NDArray[np.float32],
    labels: NDArray[np.uint8] | None,
    grid: Grid,
    plane: Plane,
    index: int,
    *,
    mid_surface: MidSurface | None = None,
    body: NDArray[np.bool_] | None = None,
    pixel_mm: float = 0.8,
) -> bytes:
    """Draw one slice of the water image, with labels filled and outlined in the colours of the label table.

    Parameters
    ----------
    water : ndarray, shape (z, y, x), float32
    labels : ndarray, shape (z, y, x), uint8, or None
        None draws the water image alone.
    grid : Grid
        The grid of both arrays. Pictures follow the array axes nearest to the
        patient's, so an oblique grid is shown as acquired.
    plane : {"axial", "coronal", "sagittal"}
    index : int
        Index of the slice along `plane_axis`.
    mid_surface : MidSurface, optional
        The surface between left and right, drawn as a dashed line.
    body : ndarray, shape (z, y, x), bool, optional
        The picture is cropped to it, with a margin.
    pixel_mm : float
        Size of a pixel in mm.

    Returns
    -------
    bytes
        An RGB PNG.
    """
    signal = _slice(np.asarray(water), grid, plane, index)
    height, width = _picture_size(signal.shape, grid, plane, pixel_mm)
    top = float(np.percentile(signal[signal > 0], _BRIGHTEST_PERCENTILE)) if (signal > 0).any() else 1.0
    grey = _resize(np.clip(signal / top, 0, 1).astype(np.float32), height, width, Image.Resampling.BICUBIC)
    picture = np.repeat(np.clip(grey, 0, 1)[..., None] ** 0.85, 3, axis=2) * 255
    if labels is not None:
        shown = _resize(_slice(labels, grid, plane, index), height, width, Image.Resampling.NEAREST)
        picture = _blend(picture, shown)
    if mid_surface is not None:
        _draw_mid_line(picture, grid, plane, index, mid_surface)
    if body is not None:
        inside = _resize(_slice(body, grid, plane, index).astype(np.uint8), height, width, Image.Resampling.NEAREST)
        picture = _crop(picture, inside, round(_MARGIN_MM / pixel_mm))
    image = Image.fromarray(np.round(picture).astype(np.uint8))
    _annotate(image, plane, pixel_mm)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _array_axes(grid: Grid) -> tuple[int, int, int]:
    """For each of LPS x, y and z, the nearest axis of a (z, y, x) array."""
    cosines = np.abs(grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0))
    best = max(permutations(range(3)), key=lambda p: sum(cosines[lps, voxel] for lps, voxel in enumerate(p)))
    x, y, z = (2 - voxel for voxel in best)
    return x, y, z


def _slice(array: NDArray[Any], grid: Grid, plane: Plane, index: int) -> NDArray[Any]:
    """A slice in display order: rows run down the picture, columns along it."""
    axes = _array_axes(grid)
    normal, down, along, flip_down = _LAYOUT[plane]
    taken = np.moveaxis(array, (axes[normal], axes[down], axes[along]), (0, 1, 2))[index]
    return np.asarray(taken[:: _direction(grid, down, flip_down), :: _direction(grid, along, False)])


def _direction(grid: Grid, lps: int, flip: bool) -> int:
    """Step (1 or -1) along an array axis with which the LPS coordinate increases (decreases if ``flip``)."""
    runs_up = grid.affine[lps, 2 - _array_axes(grid)[lps]] > 0
    return 1 if runs_up != flip else -1


def _picture_size(shape: tuple[int, ...], grid: Grid, plane: Plane, pixel_mm: float) -> tuple[int, int]:
    axes = _array_axes(grid)
    _, down, along, _ = _LAYOUT[plane]
    spacing = grid.spacing_mm
    return (
        max(1, round(shape[0] * spacing[2 - axes[down]] / pixel_mm)),
        max(1, round(shape[1] * spacing[2 - axes[along]] / pixel_mm)),
    )


def _resize(array: NDArray[Any], height: int, width: int, method: Image.Resampling) -> NDArray[Any]:
    return np.asarray(Image.fromarray(np.ascontiguousarray(array)).resize((width, height), method))


def _blend(picture: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    colours = np.zeros((256, 3))
    for structure in STRUCTURES:
        colours[structure.index] = structure.colour_rgb
    labels = np.where(labels == ADIPOSE_INDEX, 0, labels)
    edge = np.zeros(labels.shape, dtype=bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    opacity = np.where(labels > 0, np.where(edge, _OUTLINE, _FILL), 0.0)[..., None]
    return np.asarray(picture * (1 - opacity) + colours[labels] * opacity)


def _crop(picture: NDArray[np.float64], inside: NDArray[Any], margin: int) -> NDArray[np.float64]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return picture
    return picture[
        max(0, rows[0] - margin) : rows[-1] + 1 + margin, max(0, columns[0] - margin) : columns[-1] + 1 + margin
    ]


def _draw_mid_line(picture: NDArray[np.float64], grid: Grid, plane: Plane, index: int, surface: MidSurface) -> None:
    # These are views that take no memory; only the slice is copied.
    k, j, i = (np.broadcast_to(n, grid.shape) for n in np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]])
    shown = np.stack([_slice(n, grid, plane, index) for n in (i, j, k)]).astype(np.float64)
    x, y, z = np.tensordot(grid.affine[:3, :3], shown, axes=1) + grid.affine[:3, 3][:, None, None]
    beyond = (x - surface.x_at(y, z)).astype(np.float32)
    signed = _resize(beyond, picture.shape[0], picture.shape[1], Image.Resampling.BILINEAR)
    crossing = np.zeros(signed.shape, dtype=bool)
    crossing[:, 1:] = (signed[:, 1:] > 0) != (signed[:, :-1] > 0)
    crossing &= ((np.arange(len(signed)) // 7) % 2 == 0)[:, None]
    picture[crossing] = (255, 255, 255)


def _annotate(image: Image.Image, plane: Plane, pixel_mm: float) -> None:
    draw = ImageDraw.Draw(image)
    size = max(12, image.width // 26)
    font = ImageFont.load_default(size=size)
    left, right = ("A", "P") if plane == "sagittal" else ("R", "L")
    white, shadow, pad = (235, 240, 245), (20, 24, 28), size // 2
    draw.text((pad, image.height // 2), left, fill=white, font=font, anchor="lm", stroke_width=2, stroke_fill=shadow)
    draw.text(
        (image.width - pad, image.height // 2),
        right,
        fill=white,
        font=font,
        anchor="rm",
        stroke_width=2,
        stroke_fill=shadow,
    )
    bar = round(100 / pixel_mm)
    if bar < image.width - 4 * pad:
        bottom = image.height - pad
        draw.line([(pad, bottom), (pad + bar, bottom)], fill=white, width=max(2, size // 8))
        small = ImageFont.load_default(size=max(10, size * 2 // 3))
        draw.text(
            (pad + bar + pad // 2, bottom),
            "10 cm",
            fill=white,
            font=small,
            anchor="lm",
            stroke_width=2,
            stroke_fill=shadow,
        )
