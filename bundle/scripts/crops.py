"""Random crops that include an image's ends more often."""

from __future__ import annotations

from collections.abc import Sequence

from monai.config.type_definitions import KeysCollection
from monai.transforms.croppad.array import RandSpatialCrop
from monai.transforms.croppad.dictionary import RandCropd

__all__ = ["RandOverhangCropd"]


class RandOverhangCropd(RandCropd):
    """MONAI transform: a crop at a random position in the image and its surroundings.

    If crops are drawn within an image only, few of them contain its first or last voxel,
    although sliding windows always end there. Here a crop may be drawn up to ``overhang``
    voxels beyond either end and is then moved back into the image. If the image is d
    voxels longer than the crop, each end is in a share of
    (overhang + 1) / (d + 1 + 2 overhang) of all crops.

    Parameters
    ----------
    keys : keys
        Keys of images with the same shape, (channel, x, y, z).
    roi_size : sequence of int, (x, y, z)
        Voxels of the crop. Along an axis where the image is smaller, it is not cropped.
    overhang : sequence of int, (x, y, z)
        Voxels by which a crop may extend beyond the image. With zeros, this is MONAI's RandSpatialCropd.
    """

    def __init__(self, keys: KeysCollection, roi_size: Sequence[int], overhang: Sequence[int]) -> None:
        super().__init__(keys, cropper=_OverhangCrop(roi_size, overhang))


class _OverhangCrop(RandSpatialCrop):
    def __init__(self, roi_size: Sequence[int], overhang: Sequence[int]) -> None:
        super().__init__(roi_size, random_size=False)
        if len(overhang) != len(roi_size) or min(overhang) < 0 or min(roi_size) < 1:
            raise ValueError(
                f"roi_size is {list(roi_size)} and overhang is {list(overhang)}; expected one number of each per "
                "axis, sizes of at least 1 and overhangs of at least 0."
            )
        self._sides = tuple(zip(roi_size, overhang, strict=True))

    def randomize(self, img_size: Sequence[int]) -> None:
        slices = []
        for size, (roi, beyond) in zip(img_size, self._sides, strict=True):
            last = max(size - roi, 0)
            start = min(max(self.R.randint(-beyond, last + beyond + 1), 0), last)
            slices.append(slice(start, start + min(roi, size)))
        self._slices = tuple(slices)
        self._size = tuple(part.stop - part.start for part in slices)
