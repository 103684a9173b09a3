"""Training pairs straight from the anatomy, without DICOM: many participants in little time and space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.nrrd_files import write_volume
from operators.volume import Grid, Volume
from phantom.acquisition import fused_like
from phantom.anatomy import Tissues, build_tissues, fit_body
from phantom.participant import draw_participant

__all__ = ["TRAINING_SPACING_MM", "training_pair", "write_training_set"]

# Coarse enough for one window of the demo network to hold a body: a muscle is told from its
# neighbour by where it lies.
TRAINING_SPACING_MM = (4.6, 4.6, 8.0)

# What the lower four stations cover, and 60 mm more at either end so that windows can shift.
_LOW_MM = np.array([-250.0, -198.0, -110.0])
_HIGH_MM = np.array([250.0, 188.0, 802.0])


def training_pair(
    seed: int, spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM
) -> tuple[Volume, Volume, Volume]:
    """Water, fat and label map of one participant drawn from PAPER section 1, as if fused and resampled.

    The images are made at half the in-plane spacing and averaged, which is what
    trilinear resampling of a fused volume of about 2.2 mm does at voxel centres;
    labels are those of the voxel centres.

    Parameters
    ----------
    seed : int
        The participant's seed; also of the scanner's gains, bias and noise.
    spacing_mm : tuple of float, (x, y, z)

    Returns
    -------
    water, fat : Volume, float32
    labels : Volume, uint8
    """
    participant = draw_participant(seed)
    body = fit_body(participant)
    coarse = _grid(np.array(spacing_mm))
    labels = build_tissues(participant, coarse, body).labels
    fine_shape = (coarse.shape[0], 2 * coarse.shape[1], 2 * coarse.shape[2])
    affine = coarse.affine @ np.diag([0.5, 0.5, 1.0, 1.0])
    affine[:2, 3] = coarse.affine[:2, 3] - np.array(spacing_mm[:2]) / 4
    tissues: Tissues = build_tissues(participant, Grid(fine_shape, affine), body)
    water, fat = fused_like(tissues, np.random.default_rng([seed, 5]))
    return Volume(_halve(water), coarse), Volume(_halve(fat), coarse), Volume(labels, coarse)


def write_training_set(
    out: Path,
    seeds: range,
    *,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``out/<seed>/{water,fat,labels}.nrrd`` for every seed; those already there are kept.

    Training can start while this runs: a participant's folder appears whole.
    """
    out.mkdir(parents=True, exist_ok=True)
    for done, seed in enumerate(seeds):
        folder = out / f"{seed:06d}"
        if not folder.exists():
            partial = out / f".{seed:06d}.partial"
            partial.mkdir(exist_ok=True)
            water, fat, labels = training_pair(seed, spacing_mm)
            for name, volume in (("water", water), ("fat", fat), ("labels", labels)):
                write_volume(partial / f"{name}.nrrd", volume)
            partial.rename(folder)
        if progress is not None:
            progress(done + 1, len(seeds))


def _grid(spacing: NDArray[np.float64]) -> Grid:
    counts = np.floor((_HIGH_MM - _LOW_MM) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = _LOW_MM + spacing / 2
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)


def _halve(image: NDArray[np.float32]) -> NDArray[np.float32]:
    z, y, x = image.shape
    return image.reshape(z, y // 2, 2, x // 2, 2).mean(axis=(2, 4)).astype(np.float32)
