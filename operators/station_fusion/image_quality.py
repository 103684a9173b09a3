"""Faults of single stations that their in-phase images show: ghosts of a moving body, and voids around metal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Contrast, QualityFlag
from operators.station_fusion.body import otsu_threshold
from operators.station_fusion.mask_kernels import fill_slices
from operators.station_fusion.positions import TablePosition

__all__ = ["LARGEST_GHOST", "LEAST_VOID_CM3", "ghost_ratio", "image_quality_flags", "largest_void"]

LARGEST_GHOST = 1.6
"""Brightest part of the air over its median. Noise alone gives less than 1.1 on phantoms and 1.4 on a real thigh. A
ghost of 5% of the body's signal gives 1.5 to 2.6, but less where a wide body's ghost covers half of the air."""

_LARGEST_OVER_DARKEST = 2.2
"""Brightest part of the air over its darkest tenth, which such a ghost leaves free. Noise alone gives less than 1.2 on
phantoms and 1.9 on a real thigh, ghosts of 5% 2.25 to 2.7."""

LEAST_VOID_CM3 = 15.0
"""Volume without signal inside a limb or beside the pelvis. Bone and vessels without signal are thinner than this."""

_STEP_MM = 5.0
"""Voxels are averaged to about this size."""

_AWAY_FROM_BODY_MM = 15.0
_BLOCK_MM = 25.0
_LEAST_AIR_BLOCKS = 20
_MASKED = 0.1
"""Share of the air that is exactly 0 where a scanner has cleared it. Then it cannot show ghosts."""

_DARK = 0.12
"""Of the body's median in-phase signal."""

_BESIDE_MIDDLE_MM = 45.0
"""Closer to the middle of the body lies the bowel, whose gas has no signal either."""

_ROUND_MM = 8.0
"""A void is at least this far from tissue in its middle; cortical bone is thinner."""


def image_quality_flags(positions: Sequence[TablePosition]) -> tuple[QualityFlag, ...]:
    """``ghosting`` and ``signal-void`` warnings of the stations that show such a fault."""
    flags = []
    for position in positions:
        coarse = _Coarse.of(position)
        over_median, over_darkest = _air_ratios(coarse)
        if over_median > LARGEST_GHOST or over_darkest > _LARGEST_OVER_DARKEST:
            ratio = over_median if over_median > LARGEST_GHOST else over_darkest
            message = (
                f"The air around the body is up to {ratio:.1f} times as bright as elsewhere in the station of "
                f"{position.name}: the body has moved, or its image is overlaid with ghosts."
            )
            flags.append(QualityFlag("ghosting", "warning", message, z_mm=position.z_range_mm))
        void_cm3, z_mm = _largest_void(coarse, position)
        if void_cm3 > LEAST_VOID_CM3:
            message = (
                f"{void_cm3:.0f} cm3 without signal inside the body in the station of {position.name}, from z = "
                f"{z_mm[0]:.0f} to {z_mm[1]:.0f} mm, as around metal: what lies there is not shown."
            )
            flags.append(QualityFlag("signal-void", "warning", message, z_mm=z_mm))
    return tuple(flags)


def ghost_ratio(position: TablePosition) -> float:
    """Brightest block of air over the median of all; 1 if there is too little air, or the scanner has cleared it."""
    return _air_ratios(_Coarse.of(position))[0]


def _air_ratios(coarse: _Coarse) -> tuple[float, float]:
    """Brightest block of air over the median of all, and over the darkest tenth; 1 where they are not known."""
    image, sizes, body = coarse.image, coarse.sizes_mm, coarse.body
    block = [max(1, round(_BLOCK_MM / mm)) for mm in sizes]
    ratios = []
    for first in range(0, len(image), block[0]):
        slab, inside = image[first : first + block[0]], body[first : first + block[0]].any(axis=0)
        depth = ndimage.distance_transform_edt(~inside, sampling=sizes[1:])
        away = depth > _AWAY_FROM_BODY_MM
        rows, columns = (n // size for n, size in zip(away.shape, block[1:], strict=True))
        shape = (rows, block[1], columns, block[2])
        free = away[: rows * block[1], : columns * block[2]].reshape(shape).all(axis=(1, 3))
        cut = slab[:, : rows * block[1], : columns * block[2]].reshape(len(slab), *shape)
        means = cut.mean(axis=(0, 2, 4))[free]
        if means.size < _LEAST_AIR_BLOCKS or np.mean(slab[:, away] == 0) > _MASKED or np.median(means) <= 0:
            continue
        darkest, middle, brightest = np.percentile(means, [10, 50, 97])
        ratios.append((brightest / middle, brightest / darkest if darkest > 0 else 1.0))
    if not ratios:
        return 1.0, 1.0
    # Every other slab must agree, because a fold of the blanket or a hand is in a few.
    over_median, over_darkest = np.median(ratios, axis=0)
    return float(over_median), float(over_darkest)


def largest_void(position: TablePosition) -> tuple[float, tuple[float, float]]:
    """Volume in cm3 and z range in mm of the largest part of the body without signal, away from the middle."""
    return _largest_void(_Coarse.of(position), position)


def _largest_void(coarse: _Coarse, position: TablePosition) -> tuple[float, tuple[float, float]]:
    image, sizes, body = coarse.image, coarse.sizes_mm, coarse.body.copy()
    if not body.any():
        return 0.0, (0.0, 0.0)
    fill_slices(body.view(np.uint8))
    dark = body & (image < _DARK * np.median(image[body]))
    parts, _ = ndimage.label(dark)
    volumes_cm3 = np.bincount(parts.ravel()) * float(np.prod(sizes)) / 1000.0
    where = np.arange(image.shape[2]) * sizes[2]
    middle = float((body.sum(axis=(0, 1)) * where).sum() / body.sum())
    best: tuple[float, tuple[float, float]] = (0.0, (0.0, 0.0))
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        cm3 = float(volumes_cm3[number])
        if cm3 <= best[0]:
            continue
        part = parts[box] == number
        _, _, i = np.nonzero(part)
        beside_mm = abs((box[2].start + float(i.mean())) * sizes[2] - middle)
        if beside_mm > _BESIDE_MIDDLE_MM and _is_round(dark, part, box, sizes):
            low, high = position.z_range_mm
            scale = (high - low) / image.shape[0]
            first, last = box[0].start, box[0].stop
            best = cm3, (low + scale * float(first), low + scale * float(last))
    return best


def _is_round(
    dark: NDArray[np.bool_], part: NDArray[np.bool_], box: tuple[slice, ...], sizes: tuple[float, float, float]
) -> bool:
    """Whether some voxel of a connected part is farther than `_ROUND_MM` from all that is not dark.

    The closest such voxel touches the part, so that the part's box and one voxel around it are enough.
    """
    around = tuple(slice(max(one.start - 1, 0), one.stop + 1) for one in box)
    inner = tuple(slice(one.start - wide.start, one.stop - wide.start) for one, wide in zip(box, around, strict=True))
    depth = ndimage.distance_transform_edt(dark[around], sampling=sizes)[inner]
    return bool((depth[part] > _ROUND_MM).any())


@dataclass(frozen=True)
class _Coarse:
    """The in-phase image of a station, averaged to voxels of about `_STEP_MM`; what of it is body; size of a voxel."""

    image: NDArray[np.float32]
    body: NDArray[np.bool_]
    sizes_mm: tuple[float, float, float]

    @classmethod
    def of(cls, position: TablePosition) -> _Coarse:
        image, sizes = _coarse(position)
        return cls(image, _body(image), sizes)


def _coarse(position: TablePosition) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """In-phase signal averaged to voxels of about `_STEP_MM`, and their size along (z, y, x)."""
    voxels = position.stations[Contrast.IN].voxels
    spacing = position.grid.spacing_mm[::-1]
    factors = [min(max(1, round(_STEP_MM / mm)), n) for mm, n in zip(spacing, voxels.shape, strict=True)]
    z, y, x = (n // f for n, f in zip(voxels.shape, factors, strict=True))
    cut = voxels[: z * factors[0], : y * factors[1], : x * factors[2]]
    mean = cut.reshape(z, factors[0], y, factors[1], x, factors[2]).mean(axis=(1, 3, 5))
    a, b, c = (float(mm * f) for mm, f in zip(spacing, factors, strict=True))
    return np.asarray(mean, dtype=np.float32), (a, b, c)


def _body(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    signal = np.sqrt(np.maximum(image, 0.0))
    return np.asarray(signal > otsu_threshold(signal))
