"""Reading of our own label map after it was edited by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, BACKGROUND_INDEX
from operators.core.errors import GeometryError
from operators.core.grid_geometry import voxels_coincide
from operators.core.label_files import resample_labels
from operators.core.label_schemes import load_scheme
from operators.core.volume import Grid, QualityFlag
from operators.segmentation.label_translation import map_labels

__all__ = ["read_edited_labels"]


def read_edited_labels(path: Path, grid: Grid) -> tuple[NDArray[np.uint8], tuple[QualityFlag, ...]]:
    """Read a label map with the labels of the label table, and place it on the fused grid voxel for voxel.

    3D Slicer saves the smallest box around the segments, renumbers the segments
    and may put them into layers. Voxels outside that box are background.

    Parameters
    ----------
    path : Path
        A ``.seg.nrrd`` file, a plain label map with the numbers of the label table, or a folder of masks.
    grid : Grid
        The grid of the fused volumes.

    Returns
    -------
    labels : ndarray, shape ``grid.shape``, uint8
    flags : tuple of QualityFlag
        ``unknown-labels`` if there are segments that are not in the label
        table; they are left out. ``overlapping-labels`` if structures share voxels.

    Raises
    ------
    InputError
        When the file cannot be read, or none of its segments is in the label table.
    GeometryError
        When its voxels do not coincide with those of ``grid``, or labels are outside it.
    """
    mapped = map_labels(path, load_scheme("ours"))
    if not voxels_coincide(mapped.grid, grid):
        raise GeometryError(
            path.name,
            f"voxels of {_mm(mapped.grid)} that do not coincide with those of the fused volumes ({_mm(grid)})",
            "the fused grid, or a box of it",
            "In 3D Slicer, load fused/water.nrrd, set it as the segmentation's source geometry and save again. For "
            "labels that were made on other images, name their scheme (--scheme).",
        )
    placed, _ = resample_labels(mapped.voxels, mapped.grid, grid)
    if lost := int(np.count_nonzero(mapped.voxels)) - int(np.count_nonzero(placed)):
        raise GeometryError(
            path.name,
            f"{lost} labelled voxels outside the fused volumes",
            "labels of this study",
            "Check that the labels and the folder are of the same study.",
        )
    placed[placed == ADIPOSE_INDEX] = BACKGROUND_INDEX  # as for the network: adipose tissue is not measured
    return placed.astype(np.uint8), mapped.flags


def _mm(grid: Grid) -> str:
    return " x ".join(f"{mm:.3g}" for mm in grid.spacing_mm) + " mm"
