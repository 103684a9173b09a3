"""Random deformation, crop and slab of one participant, and the coil's brightness: more bodies than were drawn."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numba
import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, RandomizableTransform
from numpy.typing import NDArray
from scipy import ndimage

from bundle.scripts.device_sampling import DeformedCrop, nearest_labels, sampled_image

__all__ = ["RandCoilBiasd", "RandDeformedCropd"]

_LATTICE = 5
"""Control points along each axis of a crop; between them the field is a cubic spline."""

_STEP = 4
"""Voxels between the points at which the spline is evaluated. Between these, the field is interpolated linearly."""


class RandDeformedCropd(Randomizable, MapTransform):
    """MONAI transform: a crop at a random place of a randomly bent, turned and stretched body.

    Image and labels are sampled once, with the same deformation, so that nothing is
    blurred twice. A slab keeps a part of the body along z and replaces the rest by 0, as
    if only that part had been scanned.

    Parameters
    ----------
    keys : keys
        Keys of the image (channel, x, y, z) and of the label, in this order.
    roi_size : sequence of int, (x, y, z)
        Voxels of the crop.
    spacing_mm : sequence of float, (x, y, z)
        Of image and label.
    overhang : sequence of int, (x, y, z)
        Voxels by which a crop may extend beyond the image; see `bundle.scripts.RandOverhangCropd`.
    bend_mm : float
        Standard deviation of the displacement of each control point.
    turn_deg, stretch : float
        Largest rotation about each axis, and largest relative change of size along each axis.
    slab_prob : float
        Share of crops that are slabs.
    slab_mm : tuple of float
        Lowest and highest extent of a slab along z.

    Notes
    -----
    The label has one channel, or eight: the parts of each voxel as `bundle.scripts.SubvoxelLabelsd` gives them.
    Each part is sampled at its own place, nearest neighbour. Outside the image both are 0. Image and label on a GPU
    are sampled there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        roi_size: Sequence[int],
        spacing_mm: Sequence[float],
        overhang: Sequence[int] = (0, 0, 0),
        bend_mm: float = 5.0,
        turn_deg: float = 8.0,
        stretch: float = 0.15,
        slab_prob: float = 0.5,
        slab_mm: tuple[float, float] = (130.0, 320.0),
    ) -> None:
        super().__init__(keys)
        self.roi = np.array(roi_size)
        self.spacing = np.array(spacing_mm, dtype=np.float64)
        self.overhang = np.array(overhang)
        self.bend_mm, self.turn_deg, self.stretch = bend_mm, turn_deg, stretch
        self.slab_prob, self.slab_mm = slab_prob, slab_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw a deformation and sample image and label with it."""
        item = dict(data)
        image, labels = (item[key] for key in self.keys)
        size = np.array(image.shape[1:])
        *placed, slab = self._draw(size)
        if image.device.type == "cpu":
            arguments = (*placed, np.array(self.roi), slab)
            sampled = _sample(np.ascontiguousarray(image.numpy(), dtype=np.float32), *arguments)
            nearest = _nearest(np.ascontiguousarray(labels.numpy()).astype(np.uint8), *arguments)
            found = torch.from_numpy(sampled), torch.from_numpy(nearest)
        else:
            matrix, centre, field = (torch.as_tensor(one, device=image.device) for one in placed)
            there = DeformedCrop(matrix, centre, field, _STEP, self.roi.tolist(), slab.tolist())
            found = (
                sampled_image(torch.Tensor.as_subclass(image, torch.Tensor).float(), there),
                nearest_labels(torch.Tensor.as_subclass(labels, torch.Tensor).to(torch.uint8), there),
            )
        return item | dict(zip(self.keys, found, strict=True))

    def _draw(
        self, size: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Matrix, centre, field of displacements (3, x, y, z) and slab (lowest, highest), in voxels of the image."""
        angles = np.deg2rad(self.R.uniform(-self.turn_deg, self.turn_deg, 3))
        matrix = np.eye(3)
        for axis, angle in enumerate(angles):
            turn = np.eye(3)
            a, b = [n for n in range(3) if n != axis]
            turn[a, a] = turn[b, b] = np.cos(angle)
            turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ turn
        matrix = matrix @ np.diag(1 / (1 + self.R.uniform(-self.stretch, self.stretch, 3)))
        matrix = np.diag(1 / self.spacing) @ matrix @ np.diag(self.spacing)

        last = np.maximum(size - self.roi, 0)
        start = np.array([self.R.randint(-over, end + over + 1) for over, end in zip(self.overhang, last, strict=True)])
        start = np.clip(start, 0, last)
        extent = np.minimum(self.roi, size)
        centre = start + (extent - 1) / 2

        points = self.R.normal(0.0, self.bend_mm, (3, _LATTICE, _LATTICE, _LATTICE)) / self.spacing[:, None, None, None]
        coarse = self.roi // _STEP + 2
        field = np.stack(
            [ndimage.zoom(one, coarse / _LATTICE, order=3, grid_mode=True, mode="nearest") for one in points]
        )

        slab = np.array([-0.5, size[2] - 0.5])
        if self.R.uniform() < self.slab_prob:
            length = self.R.uniform(self.slab_mm[0], self.slab_mm[1]) / self.spacing[2]
            low = self.R.uniform(-0.5, max(size[2] - 0.5 - length, -0.5))
            slab = np.array([max(low, slab[0]), min(low + length, slab[1])])
            centre[2] = np.clip(centre[2], slab[0], slab[1])
        return tuple(one.astype(np.float32) for one in (matrix, centre, field, slab))  # type: ignore[return-value]


class RandCoilBiasd(RandomizableTransform, MapTransform):
    """MONAI transform: multiply an image by a smooth random field, the same for all channels.

    Parameters
    ----------
    keys : keys
    sd : float
        Standard deviation of the field's logarithm at its control points.
    points : int
        Control points along each axis.
    prob : float
    """

    def __init__(self, keys: KeysCollection, sd: float = 0.2, points: int = 4, prob: float = 0.8) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.sd, self.points = sd, points

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw a field and apply it."""
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        drawn = torch.from_numpy(self.R.normal(0.0, self.sd, (1, 1, *[self.points] * 3)).astype(np.float32))
        for key in self.keys:
            image = torch.as_tensor(item[key])
            at = drawn.to(image.device)
            field = torch.nn.functional.interpolate(at, image.shape[1:], mode="trilinear", align_corners=True)[0]
            item[key] = image * field.exp()
        return item


@numba.njit(cache=True, inline="always")
def _between(f, n, a, b, c, u, v, w):  # type: ignore[no-untyped-def]
    """Linear interpolation of channel ``n`` between eight neighbours."""
    low = (f[n, a, b, c] * (1 - u) + f[n, a + 1, b, c] * u) * (1 - v)
    low += (f[n, a, b + 1, c] * (1 - u) + f[n, a + 1, b + 1, c] * u) * v
    high = (f[n, a, b, c + 1] * (1 - u) + f[n, a + 1, b, c + 1] * u) * (1 - v)
    high += (f[n, a, b + 1, c + 1] * (1 - u) + f[n, a + 1, b + 1, c + 1] * u) * v
    return low * (1 - w) + high * w


@numba.njit(cache=True, inline="always")
def _place(i, j, k, matrix, centre, field, roi):  # type: ignore[no-untyped-def]
    """Where in the image a point of the crop is, both in voxels."""
    fx, fy, fz = (i + 0.5) / _STEP, (j + 0.5) / _STEP, (k + 0.5) / _STEP
    a, b, c = int(fx), int(fy), int(fz)
    u, v, w = np.float32(fx - a), np.float32(fy - b), np.float32(fz - c)
    x, y, z = i - (roi[0] - 1) * 0.5, j - (roi[1] - 1) * 0.5, k - (roi[2] - 1) * 0.5
    return (
        centre[0] + matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + _between(field, 0, a, b, c, u, v, w),
        centre[1] + matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + _between(field, 1, a, b, c, u, v, w),
        centre[2] + matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + _between(field, 2, a, b, c, u, v, w),
    )


@numba.njit(cache=True, nogil=True)
def _sample(image, matrix, centre, field, roi, slab):  # type: ignore[no-untyped-def]
    """Linear interpolation of (channel, x, y, z)."""
    channels, nx, ny, nz = image.shape
    out = np.zeros((channels, roi[0], roi[1], roi[2]), np.float32)
    for i in range(roi[0]):
        for j in range(roi[1]):
            for k in range(roi[2]):
                x, y, z = _place(float(i), float(j), float(k), matrix, centre, field, roi)
                if z < slab[0] or z > slab[1] or x < -0.5 or y < -0.5 or x > nx - 0.5 or y > ny - 0.5:
                    continue
                x, y, z = min(max(x, 0.0), nx - 1.001), min(max(y, 0.0), ny - 1.001), min(max(z, 0.0), nz - 1.001)
                a, b, c = int(x), int(y), int(z)
                u, v, w = x - a, y - b, z - c
                for n in range(channels):
                    out[n, i, j, k] = _between(image, n, a, b, c, u, v, w)
    return out


@numba.njit(cache=True, nogil=True)
def _nearest(labels, matrix, centre, field, roi, slab):  # type: ignore[no-untyped-def]
    """Nearest label of each voxel, or of each of its eight parts."""
    parts, nx, ny, nz = labels.shape
    factor = 2 if parts == 8 else 1
    out = np.zeros((parts, roi[0], roi[1], roi[2]), np.uint8)
    for i in range(roi[0]):
        for j in range(roi[1]):
            for k in range(roi[2]):
                for part in range(parts):
                    di, dj, dk = part // 4, part // 2 % 2, part % 2
                    offset = 0.25 * (factor - 1)
                    x, y, z = _place(
                        i + offset * (2 * di - 1),
                        j + offset * (2 * dj - 1),
                        k + offset * (2 * dk - 1),
                        matrix,
                        centre,
                        field,
                        roi,
                    )
                    if z < slab[0] or z > slab[1]:
                        continue
                    a, b, c = (
                        int(np.floor((x + 0.5) * factor)),
                        int(np.floor((y + 0.5) * factor)),
                        int(np.floor((z + 0.5) * factor)),
                    )
                    if a < 0 or b < 0 or c < 0 or a >= nx * factor or b >= ny * factor or c >= nz * factor:
                        continue
                    which = (a % factor * factor + b % factor) * factor + c % factor
                    out[part, i, j, k] = labels[which, a // factor, b // factor, c // factor]
    return out
