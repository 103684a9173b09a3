"""The data of the page's viewer: the fused volumes as JPEG sheets of slices, the labels compressed without loss.

A page has to open from a file, without a network and on a telephone. A general
viewer (NiiVue) adds 2 to 4 MB of program to each page, and takes the volumes as
NIfTI, which base64 turns into tens of megabytes. The viewer here is a canvas
and 300 lines of script. It gets water and fat with 8 bits; the fat fraction is
computed from them in the browser. Labels are not passed through an image,
because browsers may change pixels that are read back from a canvas.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from operators.core.anatomy import ADIPOSE_INDEX, STRUCTURES
from operators.core.volume import Contrast, Fused, Grid, Volume
from operators.phenotype_report.mid_surface import MidSurface
from operators.phenotype_report.pictures import display_order, display_spacing_mm

__all__ = ["viewer_data"]

_FINEST_MM = 1.6
_MARGIN_VOXELS = 4
_SHEET_PIXELS = 2048  # on each side; telephones limit a canvas to 4096 x 4096
_BLOCK = 8  # of JPEG; slices that begin at its multiples do not blur into each other
_QUALITY = 75
_LARGEST_BYTES = 7_000_000
_BRIGHTEST_PERCENTILE = 99.7


def viewer_data(labels: Volume | None, fused: Fused, surface: MidSurface | None) -> Mapping[str, Any]:
    """Encode a study for the viewer of the page.

    Parameters
    ----------
    labels : Volume or None
        None if labels must not be shown.
    fused : Fused
    surface : MidSurface or None
        Tells left from right.

    Returns
    -------
    mapping
        JSON types. Slices run from superior to inferior, rows from anterior to
        posterior, columns from the patient's right to the left.
    """
    first = display_order(fused.body, fused.grid)
    steps = [max(1, int(_FINEST_MM // mm)) for mm in display_spacing_mm(fused.grid)]
    box = tuple(slice(low, high, step) for (low, high), step in zip(_extent(first), steps, strict=True))
    # Of an absent contrast, ``fused`` has what stands in for it, which is not shown as an image.
    has_fat = Contrast.FAT not in fused.absent
    arrays = [
        display_order(array, fused.grid)[box] for array in ((fused.water, fused.fat) if has_fat else (fused.water,))
    ]
    # One scale for both, because the fat fraction is computed from them.
    sample = fused.water[::4][fused.body[::4]]
    top = float(np.percentile(sample, _BRIGHTEST_PERCENTILE)) if sample.size else 1.0
    if has_fat and sample.size:
        top = max(top, float(np.percentile(fused.fat[::4][fused.body[::4]], 95.0)))
    depth, rows, columns = arrays[0].shape
    shown = None if labels is None else display_order(labels.voxels.astype(np.uint8, copy=False), fused.grid)[box]
    bytes_of = [_eight_bits(volume, top) for volume in arrays]
    for quality in (_QUALITY, 50, 30):
        sheets = [_sheets(volume, quality) for volume in bytes_of]
        if sum(len(sheet) for group in sheets for sheet in group) < _LARGEST_BYTES:
            break
    tile = (_padded(rows), _padded(columns))
    return {
        "shape": [depth, rows, columns],
        "spacing": [round(mm * step, 4) for mm, step in zip(display_spacing_mm(fused.grid), steps, strict=True)],
        "tile": list(tile),
        "across": _across(tile),
        "per_sheet": _per_sheet(tile),
        "water": sheets[0],
        "fat": sheets[1] if has_fat else None,
        "labels": None if shown is None else _packed(np.where(shown == ADIPOSE_INDEX, 0, shown).astype(np.uint8)),
        "middle": None if surface is None else _middle(fused.grid, surface, box),
        "structures": {s.index: [s.display_name, list(s.colour_rgb), s.paired] for s in STRUCTURES},
    }


def _extent(body: NDArray[np.bool_]) -> list[tuple[int, int]]:
    found = []
    for axis in range(3):
        there = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = (int(there[0]), int(there[-1])) if there.size else (0, body.shape[axis] - 1)
        margin = _MARGIN_VOXELS if axis else 0
        found.append((max(0, low - margin), min(body.shape[axis], high + 1 + margin)))
    return found


def _eight_bits(volume: NDArray[np.float32], top: float) -> NDArray[np.uint8]:
    scaled = np.multiply(volume, 255.0 / top, dtype=np.float32)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def _sheets(volume: NDArray[np.uint8], quality: int) -> list[str]:
    """The slices side by side on sheets, each a greyscale JPEG in base64."""
    depth, rows, columns = volume.shape
    tile = (_padded(rows), _padded(columns))
    across, each = _across(tile), _per_sheet(tile)
    sheets = []
    for first in range(0, depth, each):
        slices = volume[first : first + each]
        down = -(-len(slices) // across)
        sheet = np.zeros((down * across, *tile), np.uint8)
        sheet[: len(slices), :rows, :columns] = slices
        picture = sheet.reshape(down, across, *tile).swapaxes(1, 2).reshape(down * tile[0], across * tile[1])
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        sheets.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    return sheets


def _packed(labels: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(labels.tobytes(), 6)).decode("ascii")


def _middle(grid: Grid, surface: MidSurface, box: tuple[slice, ...]) -> list[list[float]]:
    """For each slice, the column between left and right in its first row, and by how much it moves with each row."""
    k, j, i = (
        display_order(np.broadcast_to(n, grid.shape), grid)[box]
        for n in np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    )
    ends = slice(None, None, max(1, k.shape[1] - 1))  # the first and the last row
    index = np.stack([i[:, ends], j[:, ends], k[:, ends]]).astype(np.float64)
    x, y, z = np.tensordot(grid.affine[:3, :3], index, axes=1) + grid.affine[:3, 3][:, None, None, None]
    beyond = x - surface.x_at(y, z)  # increases along a row
    columns = (beyond < 0).sum(axis=2)
    slopes = (columns[:, -1] - columns[:, 0]) / max(1, k.shape[1] - 1)
    return [[int(first), round(float(slope), 3)] for first, slope in zip(columns[:, 0], slopes, strict=True)]


def _padded(pixels: int) -> int:
    return -(-pixels // _BLOCK) * _BLOCK


def _across(tile: tuple[int, int]) -> int:
    return max(1, _SHEET_PIXELS // tile[1])


def _per_sheet(tile: tuple[int, int]) -> int:
    return _across(tile) * max(1, _SHEET_PIXELS // tile[0])
