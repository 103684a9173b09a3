"""Random crops that show an image's ends as often as its middle."""

from __future__ import annotations

from collections.abc import Sequence

from monai.config.type_definitions import KeysCollection
from monai.transforms.croppad.array import RandSpatialCrop
from monai.transforms.croppad.dictionary import RandCropd

__all__ = ["RandOverhangCropd"]


class RandOverhangCropd(RandCropd):
    """MONAI transform: a crop at a random place, drawn from the image and its surroundings.

    Where crops are drawn within an image alone, its first and its last voxel lie in
    one crop of many only, although sliding windows always end there. Here a crop may be
    drawn ``overhang`` voxels beyond either end, and is then moved back into the image: of
    an image that is d voxels longer than the crop, each end is shown by a share of
    (overhang + 1) / (d + 1 + 2 overhang) of all crops.

    Parameters
    ----------
    keys : keys
        Of images of one shape, (channel, x, y, z).
    roi_size : sequence of int, (x, y, z)
        Voxels of the crop; an image that is smaller along an axis is left whole along it.
    overhang : sequence of int, (x, y, z)
        Voxels that a crop may be drawn beyond the image; with zeros, MONAI's RandSpatialCropd.
    """

    def __init__(self, keys: KeysCollection, roi_size: Sequence[int], overhang: Sequence[int]) -> None:
        super().__init__(keys, cropper=_OverhangCrop(roi_size, overhang))


class _OverhangCrop(RandSpatialCrop):
    def __init__(self, roi_size: Sequence[int], overhang: Sequence[int]) -> None:
        super().__init__(roi_size, random_size=False)
        if len(overhang) != len(roi_size) or min(overhang) < 0 or min(roi_size) < 1:
            raise ValueError(
                f"roi_size is {list(roi_size)} and overhang is {list(overhang)}; expected a number of each for every "
                "axis, sizes of at least 1 and no overhang below 0."
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
