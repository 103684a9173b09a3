"""Labels finer than the network's voxels: the share of each class in a voxel."""

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
from operators.core.errors import GeometryError
from operators.core.grid_geometry import LPS_TO_RAS
from operators.core.volume import Grid

__all__ = ["SubvoxelLabelsd"]


class SubvoxelLabelsd(MapTransform):
    """MONAI transform: read a label map into one channel for each part of the image's voxels.

    A network with voxels of 3.5 mm can place a border within a voxel, because the
    voxel's signal is a mixture. One label per voxel cannot say where the border
    is. Therefore each voxel of the image is divided along each axis, and every part
    gets the nearest label of the file. The parts are in no particular order: the
    loss (`bundle.scripts.DiceWeightedCELoss`) only needs the shares.

    It must come after the transforms that bring the image to the network's spacing.

    Parameters
    ----------
    keys : keys
        Keys of the label.
    image_key : str
        Key of the image, a MetaTensor (channel, x, y, z) with axes along those of the label file.
    factor : int
        Number of parts along each axis.
    file_name : str, optional
        Name of a file beside the label with the same labels on smaller voxels. If it exists, it is read instead.

    Raises
    ------
    InputError, GeometryError
        See `bundle.scripts.read_labels`; also if the file's axes are rotated relative to the image's.
    """

    def __init__(
        self, keys: KeysCollection = "label", image_key: str = "image", factor: int = 2, file_name: str | None = None
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.factor = factor
        self.file_name = file_name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read each label and sample it on the image's voxels."""
        item = dict(data)
        image: MetaTensor = item[self.image_key]
        mapping, ignore = item.pop("mapping", None), item.pop("ignore", ())  # a batch cannot collate them
        for key in self.keys:
            path = Path(str(item[key]))
            if self.file_name is not None and path.with_name(self.file_name).is_file():
                path = path.with_name(self.file_name)
            volume = read_labels(path, mapping, ignore).labels
            fine = _nearest(np.asarray(volume.voxels, np.uint8), volume.grid, image, self.factor, path)
            parts = torch.from_numpy(_parts_as_channels(fine, self.factor))
            meta = {name: value for name, value in image.meta.items() if name != "affine"}
            item[key] = MetaTensor(parts, affine=image.affine, meta=meta | {"filename_or_obj": str(path)})
        return item


def _nearest(labels: NDArray[np.uint8], grid: Grid, image: MetaTensor, factor: int, path: Path) -> NDArray[np.uint8]:
    """Labels (x, y, z) at the centres of the parts of the image's voxels; 0 beyond the file."""
    to_file = np.linalg.inv(grid.affine) @ LPS_TO_RAS @ np.asarray(image.affine, dtype=np.float64)
    axes = np.abs(to_file[:3, :3]).argmax(axis=0)  # file axis (x, y, z) of each image axis
    off_axis = to_file[:3, :3].copy()
    off_axis[axes, range(3)] = 0
    sizes = np.array(image.shape[1:])
    if len(set(axes)) != 3 or np.abs(off_axis * sizes).max() > 0.5:
        raise GeometryError(
            f"{path.parent.name}/{path.name}",
            "axes rotated relative to the image's",
            "labels with axes along those of the fused image",
            "Resample the labels to the image in 3D Slicer, or train with one label per voxel.",
        )
    xyz = labels.transpose(2, 1, 0).transpose(axes)
    picks, outside = [], []
    for axis, size in enumerate(sizes):
        centres = (np.arange(size * factor) + 0.5) / factor - 0.5
        index = np.rint(to_file[axes[axis], axis] * centres + to_file[axes[axis], 3]).astype(int)
        outside.append((index < 0) | (index >= xyz.shape[axis]))
        picks.append(np.clip(index, 0, xyz.shape[axis] - 1))
    fine = xyz[np.ix_(*picks)]
    for axis, beyond in enumerate(outside):
        np.moveaxis(fine, axis, 0)[beyond] = 0
    return fine


def _parts_as_channels(fine: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Rearrange parts (x, y, z) into voxels (factor ** 3, x, y, z)."""
    x, y, z = (n // factor for n in fine.shape)
    parts = fine.reshape(x, factor, y, factor, z, factor).transpose(1, 3, 5, 0, 2, 4)
    return np.ascontiguousarray(parts).reshape(factor**3, x, y, z)
