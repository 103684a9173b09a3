"""Paint water and fat into a label map of any origin, so that its anatomy can be scanned like the phantom's own.

A label map says which voxels are muscle and bone. What lies between is filled in:
skin and subcutaneous fat from the body's outline to the fascia, fat planes between
muscles, marrow inside bone, and organs in the wide unlabelled space of the trunk.
The tissues' composition is drawn at random; the anatomy is the map's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core import anatomy
from operators.core.errors import InputError
from operators.core.volume import Grid
from phantom.anatomy import Tissues
from phantom.rasterise import CORTICAL, FAT, MARROW, MUSCLE, SKIN, VISCERA

__all__ = ["LabelledBody", "paint"]

_SKIN_MM = 2.0
_FASCIA_MM = 14.0
"""Gaps between labels up to twice this wide are inside the fascia."""

_WALL_GAP_MM = 30.0
"""Gaps in the abdominal wall up to twice this wide are closed to find what it encloses."""

_ORGAN_MM = 11.0
"""Unlabelled tissue deeper than this between labels is an organ or an unlabelled muscle, not a fat plane."""

_UNSEEN_FAT_MM = 9.0
"""Subcutaneous fat that is added around labels without an outline of the body."""


@dataclass(frozen=True)
class LabelledBody:
    """A body as a label map shows it.

    Attributes
    ----------
    grid : Grid
        Axis-aligned, LPS, axes along +x, +y, +z.
    labels : ndarray, shape (z, y, x), uint8
        Label table indices.
    other_muscle, other_bone : ndarray, shape (z, y, x), bool
        Voxels that the map labels as tissue which the label table does not have, such as the spine.
    body : ndarray, shape (z, y, x), bool, or None
        Everything inside the skin. None: the labels with a layer of fat around them.
    sides : ndarray, shape (z, y, x), uint8, or None
        1 left, 2 right, 0 not known. None: x > 0 is left.
    """

    grid: Grid
    labels: NDArray[np.uint8]
    other_muscle: NDArray[np.bool_]
    other_bone: NDArray[np.bool_]
    body: NDArray[np.bool_] | None = None
    sides: NDArray[np.uint8] | None = None


def paint(source: LabelledBody, seed: int) -> Tissues:
    """Fill a label map with tissue of random composition.

    Parameters
    ----------
    source : LabelledBody
    seed : int
        Decides the fat content of each muscle, the width of fat planes, marrow and organs.

    Returns
    -------
    Tissues
        On the grid of ``source``, labels unchanged.

    Raises
    ------
    InputError
        When the map is empty.
    """
    labelled = (source.labels > 0) | source.other_muscle | source.other_bone
    if not labelled.any():
        raise InputError("label map", "no labelled voxel", "a body with muscles", "Check the path and --scheme.")
    rng = np.random.default_rng([seed, 11])
    spacing = source.grid.spacing_mm[::-1]
    body = _outline(source, labelled, spacing)
    depth = ndimage.distance_transform_edt(body, spacing)
    fascia = _closed(labelled, _FASCIA_MM, spacing) & body & (depth > _SKIN_MM + 1.0)
    texture = _texture(labelled.shape, spacing, rng)

    signal = np.where(body, np.float32(FAT), np.float32(0))
    fraction = np.where(body, np.float32(0.93), np.float32(0))
    skin = body & (depth < _SKIN_MM)
    signal[skin], fraction[skin] = SKIN, 0.15

    inside = (fascia | _cavity(labelled, spacing)) & ~labelled
    signal[inside], fraction[inside] = FAT, 0.88
    organ = inside & (ndimage.distance_transform_edt(~labelled, spacing) > _ORGAN_MM)
    # Beside organs there is fat; where there is more of it differs between people.
    organ &= ndimage.gaussian_filter(texture, 2.0) > rng.uniform(-0.5, 0.4)
    signal[organ], fraction[organ] = VISCERA, 0.2

    _muscles(source, signal, fraction, texture, rng)
    _bones(source, signal, fraction, spacing, rng)
    signal *= 1 + 0.03 * np.roll(texture, 5, axis=0)
    fat = signal * fraction
    water, fat = (signal - fat).astype(np.float32), fat.astype(np.float32)
    return Tissues(source.grid, source.labels, water, fat, sides=source.sides)


def _outline(source: LabelledBody, labelled: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """The body with every label in it, and a layer of skin and fat where labels reach its edge."""
    if source.body is None:
        around = _closed(labelled, _FASCIA_MM, spacing)
        return np.asarray(ndimage.distance_transform_edt(~around, spacing) < _UNSEEN_FAT_MM)
    return np.asarray(source.body | (ndimage.distance_transform_edt(~labelled, spacing) < _SKIN_MM + 1.0))


def _closed(mask: NDArray[np.bool_], radius_mm: float, spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """Close gaps within each axial slice; a slice of another height lends nothing."""
    pad = int(np.ceil(radius_mm / min(spacing[1:]))) + 1
    closed = np.zeros_like(mask)
    for k, plane in enumerate(mask):
        if plane.any():
            near = ndimage.distance_transform_edt(~np.pad(plane, pad), spacing[1:]) < radius_mm
            closed[k] = (ndimage.distance_transform_edt(near, spacing[1:]) > radius_mm)[pad:-pad, pad:-pad]
    return closed | mask


def _cavity(labelled: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """What the abdominal wall and the pelvis enclose in each axial slice, with gaps in the wall closed."""
    wall = _closed(labelled, _WALL_GAP_MM, spacing)
    return np.stack([np.asarray(ndimage.binary_fill_holes(plane), np.bool_) for plane in wall])


def _muscles(
    source: LabelledBody,
    signal: NDArray[np.float32],
    fraction: NDArray[np.float32],
    texture: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Muscle with streaks of fat, and a fat plane where two structures touch."""
    base = rng.uniform(0.02, 0.18)
    by_label = np.clip(base * np.exp(rng.normal(0.0, 0.3, anatomy.CHANNEL_COUNT)), 0.01, 0.4).astype(np.float32)
    muscles = np.array([anatomy.by_name(name).index for name in anatomy.MUSCLES])
    muscle = np.isin(source.labels, muscles) | source.other_muscle
    own = np.clip(by_label[source.labels] * (1 + 0.45 * texture), 0, 1)
    kinds = source.labels.astype(np.int16) + np.where(source.other_muscle, 100, 0)
    plane = np.zeros(muscle.shape, np.bool_)
    for axis in (1, 2):  # slices are thick: a plane between them would be far too wide
        differs = np.diff(kinds, axis=axis) != 0
        low = [slice(None)] * 3
        low[axis] = slice(0, -1)
        plane[tuple(low)] |= differs
    plane &= muscle
    width = rng.uniform(0.1, 0.55)  # share of fat in a voxel that a plane crosses
    own = np.where(plane, own + (0.9 - own) * width * np.clip(1 + 0.5 * texture, 0, 1.5), own)
    signal[muscle] = (MUSCLE * (1 - own) + FAT * own)[muscle]
    fraction[muscle] = own[muscle]


def _bones(
    source: LabelledBody,
    signal: NDArray[np.float32],
    fraction: NDArray[np.float32],
    spacing: tuple[float, ...],
    rng: np.random.Generator,
) -> None:
    """Dark cortical bone around marrow: yellow in the femur, red elsewhere."""
    femur = anatomy.by_name("femur").index
    bone = (source.labels == femur) | (source.labels == anatomy.by_name("iliac_bone").index) | source.other_bone
    deep = ndimage.distance_transform_edt(bone, spacing)
    marrow = np.where(source.labels == femur, rng.uniform(0.75, 0.92), rng.uniform(0.4, 0.7)).astype(np.float32)
    cortical = deep < rng.uniform(2.0, 4.5)
    signal[bone] = np.where(cortical, CORTICAL, MARROW)[bone]
    fraction[bone] = np.where(cortical, 0.2, marrow)[bone]


def _texture(shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of unit variance with a grain of about 8 mm."""
    coarse = rng.standard_normal([max(2, int(np.ceil(n * mm / 8.0))) for n, mm in zip(shape, spacing, strict=True)])
    smooth = ndimage.zoom(
        coarse.astype(np.float32), np.array(shape) / np.array(coarse.shape), order=1, grid_mode=True, mode="nearest"
    )
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), np.float32)
