"""How well a label map agrees with the truth, structure by structure.

Overlap as in the paper (section "Evaluation": Dice, IoU, precision, recall), and
distances between surfaces (MONAI's implementations, with the grid's spacing):
the 95th percentile of the Hausdorff distance, and the share of both surfaces
that is within a tolerance of the other (normalised surface Dice, Nikolov et
al. 2021, doi 10.2196/26151).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from operators.core import anatomy

__all__ = ["METRICS", "ParticipantScores", "StructureScores", "measure_structures", "score_structure"]


@dataclass(frozen=True)
class StructureScores:
    """Agreement for one structure of the truth.

    Attributes
    ----------
    dice, iou, precision, recall : float
        0 to 1. Precision is 0 if nothing was found.
    hd95_mm : float
        The larger of the two directed 95th percentiles; NaN if nothing was found (counted as ``missed``).
    surface_dice : float
        Share of both surfaces within the tolerance of the other; 0 if nothing was found.
    relative_volume_error : float
        Found over true volume, minus 1.
    """

    dice: float
    iou: float
    precision: float
    recall: float
    hd95_mm: float
    surface_dice: float
    relative_volume_error: float


METRICS = tuple(field.name for field in fields(StructureScores))


@dataclass(frozen=True)
class ParticipantScores:
    """One participant's scores.

    Attributes
    ----------
    participant : str
    structures : mapping of str to StructureScores
        Only structures that the truth has.
    weak : bool
        Whether the truth is another program's segmentation.
    """

    participant: str
    structures: Mapping[str, StructureScores]
    weak: bool = False


def measure_structures(
    found: NDArray[np.integer],
    truth: NDArray[np.integer],
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = 2.0,
) -> dict[str, StructureScores]:
    """Compute the scores of each structure of the truth.

    Parameters
    ----------
    found, truth : ndarray, shape (z, y, x)
        Values of the label table.
    spacing_mm : tuple of float, (z, y, x)
    tolerance_mm : float
        Of the surface Dice.

    Returns
    -------
    dict
        Structure name to scores; structures absent from the truth are left out.
    """
    boxes = _boxes(found, truth)
    return {
        s.name: score_structure(
            found[boxes[s.index]] == s.index, truth[boxes[s.index]] == s.index, spacing_mm, tolerance_mm
        )
        for s in anatomy.STRUCTURES
        if s.index in boxes
    }


def score_structure(
    found: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = 2.0,
) -> StructureScores:
    """Compute the scores of one structure.

    Parameters
    ----------
    found, truth : ndarray, shape (z, y, x), bool
        ``truth`` holds at least one voxel.
    spacing_mm : tuple of float, (z, y, x)
    tolerance_mm : float
    """
    both, n_found, n_truth = (int(np.count_nonzero(m)) for m in (found & truth, found, truth))
    if n_found == 0:
        return StructureScores(0.0, 0.0, 0.0, 0.0, float("nan"), 0.0, -1.0)
    # Add a rim of background, so that a mask that fills its box has a surface there.
    ours, theirs = (torch.from_numpy(np.pad(mask, 2))[None, None] for mask in (found, truth))
    spacing = [float(mm) for mm in spacing_mm]
    distance = compute_hausdorff_distance(ours, theirs, include_background=True, percentile=95, spacing=spacing)
    surface = compute_surface_dice(
        ours,
        theirs,
        class_thresholds=[tolerance_mm],
        include_background=True,
        spacing=spacing,
        use_subvoxels=True,
    )
    return StructureScores(
        dice=2 * both / (n_found + n_truth),
        iou=both / (n_found + n_truth - both),
        precision=both / n_found,
        recall=both / n_truth,
        hd95_mm=float(distance),
        surface_dice=float(surface),
        relative_volume_error=n_found / n_truth - 1,
    )


def _boxes(found: NDArray[np.integer], truth: NDArray[np.integer]) -> dict[int, tuple[slice, ...]]:
    """The smallest box around both masks, for each structure of the truth."""
    highest = anatomy.CHANNEL_COUNT - 1
    in_truth = find_objects(np.asarray(truth, np.int32), highest)
    in_found = find_objects(np.asarray(found, np.int32), highest)
    boxes: dict[int, tuple[slice, ...]] = {}
    for index, (first, second) in enumerate(zip(in_truth, in_found, strict=True), start=1):
        if first is not None:
            pairs = zip(first, second or first, strict=True)
            boxes[index] = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in pairs)
    return boxes
