"""Whether the images of a study from NIfTI belong together and show what they must: grid, contrasts, air."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.core.contrast import Contrast
from operators.core.errors import GeometryError, InputError
from operators.core.nifti_files import LONGEST_MM, SHORTEST_MM
from operators.core.volume import Grid
from operators.nifti_loader.orientation import Turned

__all__ = ["check_air", "check_contrasts", "check_fat", "check_grid"]

_SAME_GRID_MM = 0.1
"""Affines are stored in single precision, and converters round them."""

_SKEW = 1e-3
"""Cosine between two axes. A corner of a volume of half a metre is then displaced by 0.5 mm."""

_NO_AIR = 0.9
"""Of the voxels at the sides, front and back, in slices that show a body."""

_WHOLES = (1.0, 100.0)
"""What a fat fraction has where all is fat: it is a share or percent."""

_BRIGHTER = 1.5
"""Times the whole, for water signal. Water and fat of one scan have one scale, and fat is not much darker."""

_FAT_FROM, _ALL_FAT, _MOST_FAT = 0.5, 0.85, 1.02
"""Of the whole: a voxel of fat, and one that is nothing else. A map that is not masked has wild values in air."""

_CROWDED = 0.4
"""Of the voxels of fat, between the last two. Signal of fat has no ceiling where its values crowd."""


def check_grid(where: str, water: Grid) -> None:
    """Refuse a grid that is flat, of an absurd size or sheared.

    Raises
    ------
    GeometryError
    """
    if min(water.shape) < 2:
        raise GeometryError(
            where,
            f"{' x '.join(map(str, water.shape[::-1]))} voxels",
            "at least 2 along each axis",
            "Give a three-dimensional volume of one person.",
        )
    lengths = [count * mm for count, mm in zip(water.shape[::-1], water.spacing_mm, strict=True)]
    if not SHORTEST_MM <= max(lengths) <= LONGEST_MM:
        raise GeometryError(
            where,
            f"a volume of {' x '.join(f'{mm:.3g}' for mm in lengths)} mm",
            f"one that is {SHORTEST_MM:g} mm to {LONGEST_MM / 1000:g} m long",
            "The file's voxel sizes are wrong or not in mm. Convert the images again, or correct its affine.",
        )
    axes = water.affine[:3, :3] / np.linalg.norm(water.affine[:3, :3], axis=0)
    cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if cosine > _SKEW:
        raise GeometryError(
            where,
            f"axes that are {np.degrees(np.arcsin(min(cosine, 1.0))):.1f} degrees away from right angles",
            "a rectangular grid",
            "Resample the images to one; an affine registration may have written a shear into the file.",
        )


def check_contrasts(signals: Mapping[Contrast, Turned], files: Mapping[Contrast, Path]) -> None:
    """Refuse contrasts on different grids, and the same image given as two.

    Parameters
    ----------
    signals : mapping of Contrast to Turned
        In the orientation of the body, so that files may have their axes in different orders.
    files : mapping of Contrast to Path

    Raises
    ------
    GeometryError, InputError
    """
    water = signals[Contrast.WATER].grid
    where = files[Contrast.WATER].name
    for contrast, signal in signals.items():
        if not signal.grid.same_as(water, _SAME_GRID_MM):
            raise GeometryError(
                files[contrast].name,
                f"{_described(signal.grid)}{_apart(signal.grid, water)} where {where} has {_described(water)}",
                "all contrasts on one grid",
                "Resample them onto the grid of the water image.",
            )
    for one, other in combinations(sorted(signals), 2):
        if np.array_equal(signals[one].voxels, signals[other].voxels):
            raise InputError(
                files[other].name,
                f"the same image as {files[one].name}",
                "another image for each contrast",
                "Give the image that the name says, or leave the file out.",
            )


def check_fat(where: str, water: NDArray[np.float32], fat: NDArray[np.float32]) -> None:
    """Refuse a fat fraction that is given as the fat image: fat over water and fat would be that of a fraction.

    Raises
    ------
    InputError
    """
    bright = float(np.percentile(water[water > 0], 99)) if (water > 0).any() else 0.0
    for whole in _WHOLES:
        of_fat = fat[fat > _FAT_FROM * whole]
        if bright <= _BRIGHTER * whole or not of_fat.size:
            continue
        if float(np.mean((of_fat >= _ALL_FAT * whole) & (of_fat <= _MOST_FAT * whole))) >= _CROWDED:
            raise InputError(
                where,
                f"values that crowd below {whole:g}, as a fat fraction's do, beside water signal of {bright:.0f}",
                "the fat image, with signal like that of the water image",
                "Give the fat image. Without it, leave the file out: fat is then not measured.",
            )


def check_air(where: str, body: NDArray[np.bool_]) -> None:
    """Refuse an image without air at its sides, front and back: the background is bright, or there is no outline.

    Raises
    ------
    InputError
    """
    shown = body[body.any(axis=(1, 2))]
    sides = np.concatenate([shown[:, [0, -1]].ravel(), shown[:, :, [0, -1]].ravel()])
    if sides.size and (share := float(sides.mean())) > _NO_AIR:
        raise InputError(
            where,
            f"no dark air around the body: {share:.0%} of the sides of the volume are as bright as tissue",
            "muscle bright, fat and air dark",
            "Set the background to 0, turn an inverted image back, or give a volume that shows the whole outline.",
        )


def _described(grid: Grid) -> str:
    spacing = " x ".join(f"{mm:.3f}" for mm in grid.spacing_mm)
    return f"{' x '.join(map(str, grid.shape[::-1]))} voxels of {spacing} mm"


def _apart(grid: Grid, water: Grid) -> str:
    """How far apart two grids are that would be described alike; else empty."""
    if _described(grid) != _described(water):
        return ""
    ends = np.array([[0, 0, 0, 1], [*(count - 1 for count in grid.shape[::-1]), 1]]).T
    mm = float(np.linalg.norm(((grid.affine - water.affine) @ ends)[:3], axis=0).max())
    return f", up to {mm:.1f} mm from those of the water image,"
