"""The synthetic body of a participant, rasterised on any grid: labels, water and fat.

The reference body is scaled to the participant's height. Its girth and the size
of each muscle are fitted to the requested muscle volumes. The seed slightly
moves, rotates and resizes everything, differently on each side. See
`phantom.reference` and `phantom.rasterise`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.core import anatomy
from operators.core.volume import Grid
from phantom.body import Body, draw_body, outline_table, part_table, tissue_model
from phantom.participant import Participant
from phantom.rasterise import rasterise
from phantom.reference import MUSCLE_SHARE

__all__ = ["Tissues", "body_grid", "build_labels", "build_tissues", "fit_body"]


@dataclass(frozen=True)
class Tissues:
    """A body before it is scanned.

    Attributes
    ----------
    grid : Grid
        Axis-aligned. x = 0 is the mid-plane; y = 0 is the hip axis; z = 0 is the height of the knee.
    labels : ndarray, shape (z, y, x), uint8
        Label table indices; sides are not distinguished.
    water, fat : ndarray, shape (z, y, x), float32
        Noise-free signal of water and of fat protons, arbitrary units.
    body : Body, optional
        The anatomy that was rasterised.
    sides : ndarray, shape (z, y, x), uint8, optional
        1 left, 2 right, 0 not known. None: the mid-plane divides the labels.
    """

    grid: Grid
    labels: NDArray[np.uint8]
    water: NDArray[np.float32]
    fat: NDArray[np.float32]
    body: Body | None = None
    sides: NDArray[np.uint8] | None = None


def body_grid(participant: Participant, spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Grid:
    """A grid (spacing x, y, z) that holds the body from below the knee to the chest."""
    scale = participant.height_cm / 170.0
    low, high = np.array([-250.0, -190.0, -110.0 * scale]), np.array([250.0, 190.0, 1000.0 * scale])
    spacing = np.array(spacing_mm)
    counts = np.ceil((high - low) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + 0.5 * spacing
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)


def build_tissues(participant: Participant, grid: Grid, body: Body | None = None) -> Tissues:
    """Build the participant's body on ``grid``. Passing ``body`` saves fitting it again.

    Parameters
    ----------
    participant : Participant
    grid : Grid
        Axis-aligned, axes along +x, +y, +z.
    body : Body, optional
        From `fit_body`.
    """
    body = fit_body(participant) if body is None else body
    labels, signal, fat_fraction = _rasterise(body, grid)
    texture = _texture(participant.seed, grid)
    # Fat infiltrates muscle in streaks. The other tissues keep their composition.
    is_muscle = np.isin(labels, [anatomy.by_name(name).index for name in anatomy.MUSCLES])
    fat_fraction = np.where(is_muscle, np.clip(fat_fraction * (1 + 0.45 * texture), 0, 1), fat_fraction)
    signal *= 1 + 0.03 * np.roll(texture, 5, axis=0)
    fat = signal * fat_fraction
    return Tissues(grid, labels, (signal - fat).astype(np.float32), fat.astype(np.float32), body)


def build_labels(body: Body, grid: Grid) -> NDArray[np.uint8]:
    """The structure at every voxel centre of an axis-aligned ``grid``, shape (z, y, x); exact for any spacing."""
    return _rasterise(body, grid)[0]


def fit_body(participant: Participant, spacing_mm: float = 5.0, rounds: int = 14) -> Body:
    """Fit the girth and muscle sizes of the participant's body to the requested volumes.

    Total volume, P/A ratio and asymmetry of usual participants are met closely. Values far
    from those of the participant's size are missed, because sizes and girth are limited
    (2500 cm3 at 215 cm becomes about 8200, a ratio of 0.9 about 0.76). Volumes of single
    muscles approach their shares as far as their neighbours allow, with an individual
    spread of about 8%.
    """
    grid = body_grid(participant, (spacing_mm, spacing_mm, spacing_mm))
    body = draw_body(participant)
    wanted = _wanted_volumes(participant)
    left = grid.origin_mm[0] + grid.spacing_mm[0] * np.arange(grid.shape[2]) > 0
    posterior, anterior = (
        np.array([anatomy.by_name(n).index for n in group]) for group in (anatomy.HAMSTRINGS, anatomy.QUADRICEPS)
    )
    leg = np.array([s.index for s in anatomy.STRUCTURES if s.compartment in anatomy.THIGH_COMPARTMENTS])
    muscles = np.array([anatomy.by_name(n).index for n in anatomy.MUSCLES])
    for n in range(rounds):
        labels, _, _ = _rasterise(body, grid)
        by_side = np.stack(
            [np.bincount(labels[..., side].ravel(), minlength=anatomy.CHANNEL_COUNT) for side in (~left, left)]
        )
        found = by_side.sum(axis=0) * grid.voxel_volume_mm3 / 1000.0
        size = body.size.copy()
        gain = 0.35 if n < rounds - 5 else 0.0  # the last rounds fit the totals only
        size[muscles] *= (wanted[muscles] / np.maximum(found[muscles], 1.0)) ** gain
        # Sizes are relative to one another; the girth holds the common factor.
        size[muscles] /= np.exp(np.average(np.log(size[muscles]), weights=wanted[muscles]))
        pa_error = participant.pa_ratio / (found[posterior].sum() / found[anterior].sum())
        size[posterior] *= pa_error**0.4
        size[anterior] *= pa_error**-0.2
        found_asymmetry = (by_side[1, leg].sum() - by_side[0, leg].sum()) / by_side[:, leg].sum(axis=1).max()
        body = replace(
            body,
            size=np.clip(size, 0.6, 1.6),
            girth=float(np.clip(body.girth * (participant.tmv_cm3 / found[muscles].sum()) ** 0.5, 0.6, 1.5)),
            side_girth=body.side_girth + 0.25 * (participant.lr_asymmetry - found_asymmetry) * np.array([-1.0, 1.0]),
        )
    return body


def _wanted_volumes(participant: Participant) -> NDArray[np.float64]:
    """Volume of each label in cm3 that adds up to the participant's TMV and P/A ratio."""
    share = np.zeros(anatomy.CHANNEL_COUNT)
    spread = np.random.default_rng([participant.seed, 2]).normal(0.0, participant.muscle_spread, anatomy.CHANNEL_COUNT)
    for name, relative in MUSCLE_SHARE.items():
        index = anatomy.by_name(name).index
        share[index] = relative * np.exp(spread[index])
    posterior = [anatomy.by_name(n).index for n in anatomy.HAMSTRINGS]
    anterior = [anatomy.by_name(n).index for n in anatomy.QUADRICEPS]
    thigh = share[posterior].sum() + share[anterior].sum()
    share[anterior] *= thigh / (1 + participant.pa_ratio) / share[anterior].sum()
    share[posterior] *= thigh * participant.pa_ratio / (1 + participant.pa_ratio) / share[posterior].sum()
    return np.asarray(share / share.sum() * participant.tmv_cm3)


def _rasterise(body: Body, grid: Grid) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    z, y, x = grid.shape
    dx, dy, dz = grid.spacing_mm
    x0, y0, z0 = grid.origin_mm
    heights = z0 + dz * np.arange(z)
    return rasterise(
        x0 + dx * np.arange(x),
        y0 + dy * np.arange(y),
        part_table(body, heights),
        outline_table(body, heights),
        tissue_model(body),
    )


def _texture(seed: int, grid: Grid) -> NDArray[np.float32]:
    """Smooth noise of unit variance with a grain of about 8 mm; the same for any grid of the same extent."""
    rng = np.random.default_rng([seed, 3])
    extent = np.array(grid.shape) * np.array(grid.spacing_mm)[::-1]
    coarse = rng.standard_normal(np.maximum(np.ceil(extent / 8.0).astype(int), 2)).astype(np.float32)
    smooth = ndimage.zoom(
        coarse, np.array(grid.shape) / np.array(coarse.shape), order=1, grid_mode=True, mode="nearest"
    )
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), dtype=np.float32)
