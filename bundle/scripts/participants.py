"""Read one participant for MONAI: check images, match labels by name and bring them to the image's grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from bundle.scripts.annotations import read_labels
from operators.core.errors import GeometryError, InputError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.image_channels import read_image
from operators.core.label_files import resample_labels
from operators.core.volume import Grid, Volume

__all__ = ["LoadParticipantd", "labels_on_grid"]


def labels_on_grid(labels: Volume, grid: Grid, where: str, *, resample: bool = False) -> NDArray[np.uint8]:
    """Bring a label map to an image's grid.

    3D Slicer saves the smallest box that holds the segments; such a map is
    padded. An annotator's labels are never resampled. Another tool's labels may be
    on any grid and may be resampled (``resample``: to the nearest label).

    Returns
    -------
    ndarray, shape ``grid.shape``, uint8

    Raises
    ------
    GeometryError
        If voxels do not coincide, or labelled voxels are outside the image.
    """
    voxels = np.asarray(labels.voxels, np.uint8)
    if labels.grid.same_as(grid, tolerance_mm=0.01):
        return voxels
    if resample:
        found, _ = resample_labels(voxels, labels.grid, grid)
        if voxels.any() and not found.any():
            raise GeometryError(where, "no label inside the image", "labels of this image", "Check the affine.")
        return found.astype(np.uint8)
    to_image = np.linalg.inv(grid.affine) @ labels.grid.affine
    offset = np.rint(to_image[:3, 3]).astype(int)
    far_corner = np.array([*labels.grid.shape[::-1], 1.0])
    drift = (to_image - np.eye(4)) @ far_corner - np.array([*offset, 0.0])
    if np.abs(drift[:3]).max() > 0.05:
        raise GeometryError(
            where,
            f"labels on a grid of {labels.grid.shape}, spacing {_mm(labels.grid)}",
            f"the image's grid of {grid.shape}, spacing {_mm(grid)}, or a box in it",
            "Segment the fused image itself, or resample the labels to it in 3D Slicer (Export to labelmap with the "
            "image as reference).",
        )
    placed = np.zeros(grid.shape, np.uint8)
    first = offset[::-1]
    inside = tuple(
        slice(max(0, -f), max(0, -f, min(n, m - f))) for f, n, m in zip(first, voxels.shape, grid.shape, strict=True)
    )
    cut = voxels[inside]
    if np.count_nonzero(cut) != np.count_nonzero(voxels):
        raise GeometryError(
            where,
            "labelled voxels outside the image",
            "labels of this image",
            "Check that image and labels belong to the same participant.",
        )
    placed[tuple(slice(max(0, f), max(0, f) + n) for f, n in zip(first, cut.shape, strict=True))] = cut
    return placed


class LoadParticipantd(MapTransform):
    """MONAI transform that replaces an item's paths by channel-first tensors in RAS, as `LoadImaged` does.

    Parameters
    ----------
    keys : keys
        ``image`` (one path or several) and, if there are labels, ``label`` (one path).

    Raises
    ------
    InputError, GeometryError
        See `read_image`, `bundle.scripts.read_labels` and `labels_on_grid`.
    """

    def __init__(self, keys: KeysCollection = ("image", "label")) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the item's image and, if among the keys, its labels."""
        item = dict(data)
        given = item["image"]
        paths = [given] if isinstance(given, str | Path) else list(given)
        voxels, grid = read_image(paths)
        item["image"] = _meta_tensor(voxels, grid, str(paths[0]))
        if "label" in self.keys:
            path = Path(str(item["label"]))
            mapping, ignore = item.pop("mapping", None), item.pop("ignore", ())  # a batch cannot collate them
            read = read_labels(path, mapping, ignore)
            where = f"{path.parent.name}/{path.name}"
            labels = labels_on_grid(read.labels, grid, where, resample=mapping is not None)
            if not labels.any():
                raise InputError(
                    where,
                    "no labelled voxel",
                    "at least one structure of the label table",
                    "Annotate the participant, or leave the folder out.",
                )
            item["label"] = _meta_tensor(labels[None].astype(np.float32), grid, str(path))
        return item


def _meta_tensor(voxels: NDArray[np.float32], grid: Grid, filename: str) -> MetaTensor:
    """Channel-first (c, x, y, z) with a RAS affine, MONAI's convention."""
    affine = torch.as_tensor(LPS_TO_RAS @ grid.affine)
    meta = {
        "filename_or_obj": filename,
        "original_affine": affine.numpy().copy(),
        "spatial_shape": np.array(grid.shape[::-1]),
        "original_channel_dim": 0 if len(voxels) > 1 else float("nan"),
        "space": "RAS",
    }
    return MetaTensor(torch.as_tensor(np.ascontiguousarray(voxels.transpose(0, 3, 2, 1))), affine=affine, meta=meta)


def _mm(grid: Grid) -> str:
    return " x ".join(f"{mm:.3g}" for mm in grid.spacing_mm) + " mm"
