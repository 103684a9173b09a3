"""From a fused study to a label map on the same grid."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from operators import anatomy
from operators.errors import SegmentationError
from operators.segmentation.bundle_model import SegmentationModel
from operators.segmentation.options import SegmentationOptions
from operators.segmentation.scores import labels_from_scores
from operators.volume import Contrast, Fused, Grid, Volume

__all__ = ["segment"]

DEFAULT_OPTIONS = SegmentationOptions()
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MARGIN_VOXELS = 4


def segment(fused: Fused, model: SegmentationModel, options: SegmentationOptions = DEFAULT_OPTIONS) -> Volume:
    """Label every voxel of the fused grid.

    The image is cut to the body, brought to the network's orientation, spacing
    and intensities by the bundle's own transforms, and scored window by window.
    Scores, not labels, are interpolated back to the fused grid, a few slices at
    a time, so that 29 volumes at full resolution never exist together.

    A study whose flags say that its coverage cannot be trusted gets no labels:
    a network that has only seen pelvis to knee names something everywhere.

    Parameters
    ----------
    fused : Fused
    model : SegmentationModel
    options : SegmentationOptions

    Returns
    -------
    Volume
        uint8 label table indices, shape (z, y, x); 0 outside the body.

    Raises
    ------
    SegmentationError
        For an image without a body or with values that are not finite, for a
        network that fails, gives scores that are not finite or has another number
        of channels, and when nothing is found.
    """
    if any(flag.severity == "error" for flag in fused.flags):
        return Volume(np.zeros(fused.grid.shape, dtype=np.uint8), fused.grid)
    box = _body_box(fused.body)
    image = np.stack([_contrast(fused, contrast)[box] for contrast in model.contrasts])
    if not np.isfinite(image).all():
        raise SegmentationError(
            "fused volume", "values that are not finite", "a signal in every voxel", "Look at the fused NRRD files."
        )
    affine = fused.grid.affine.copy()
    affine[:3, 3] = (affine @ [box[2].start, box[1].start, box[0].start, 1.0])[:3]
    # MONAI's arrays are (channel, x, y, z) and its affines lead to RAS.
    tensor = MetaTensor(
        torch.from_numpy(image.transpose(0, 3, 2, 1).copy()), affine=torch.from_numpy(_LPS_TO_RAS @ affine)
    )
    try:
        prepared = model.preprocessing({"image": tensor})["image"]
        with torch.inference_mode():
            scores = torch.as_tensor(model.inferer(prepared[None].to(model.device), model.network)[0]).float()
    except (RuntimeError, ValueError, TypeError) as error:  # torch says RuntimeError also for want of memory
        raise SegmentationError(
            f"model {model.card.name}",
            f"failed on the fused volume ({type(error).__name__}: {next(iter(str(error).splitlines()), '')})",
            "a network and transforms that fit each other, and the memory to run them",
            "Check the bundle's configs, or set a smaller roi.",
        ) from error
    wanted = (anatomy.CHANNEL_COUNT, *prepared.shape[1:])
    if tuple(scores.shape) != wanted:
        raise SegmentationError(
            f"model {model.card.name}",
            f"scores of shape {tuple(scores.shape)}",
            f"{wanted}: the label table's {anatomy.CHANNEL_COUNT} channels, and a score for every voxel",
            "Use weights trained with this version's configs.",
        )
    if not torch.isfinite(scores).all():
        raise SegmentationError(
            f"model {model.card.name}", "scores that are not finite", "a score of every class", "Check its weights."
        )
    inside = Grid(tuple(part.stop - part.start for part in box), affine)  # type: ignore[arg-type]
    score_affine = _LPS_TO_RAS @ np.asarray(prepared.affine, dtype=np.float64)
    labels = np.zeros(fused.grid.shape, dtype=np.uint8)
    labels[box] = labels_from_scores(scores, score_affine, inside)
    labels[labels == anatomy.ADIPOSE_INDEX] = anatomy.BACKGROUND_INDEX  # never annotated, hence never learnt
    labels[~fused.body] = anatomy.BACKGROUND_INDEX
    if not labels.any():
        raise SegmentationError(
            "fused volume",
            "none of the 27 structures",
            "a body from pelvis to knee",
            "Look at fused/water.nrrd: does it show muscle bright on dark fat?",
        )
    return Volume(labels, fused.grid)


def _contrast(fused: Fused, contrast: Contrast) -> NDArray[np.float32]:
    return {
        Contrast.WATER: fused.water,
        Contrast.FAT: fused.fat,
        Contrast.IN: fused.in_phase,
        Contrast.OPPOSED: fused.opposed,
    }[contrast]


def _body_box(body: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box around the body, with a margin."""
    if not body.any():
        raise SegmentationError(
            "fused volume", "no body", "signal of a body", "Look at fused/water.nrrd: is it empty or constant?"
        )
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(body.any(axis=others))
        start = max(int(where[0]) - _MARGIN_VOXELS, 0)
        box.append(slice(start, min(int(where[-1]) + 1 + _MARGIN_VOXELS, body.shape[axis])))
    return box[0], box[1], box[2]
