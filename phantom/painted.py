"""Make training images and studies of a label map of a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.core.label_files import resample_labels
from operators.core.volume import Contrast, Grid, Volume
from operators.station_fusion.water_alone import body_of_water, fat_stand_in
from phantom.acquisition import acquire_study, axes
from phantom.fused import fused_images, resampled
from phantom.mapped_body import MappedBody
from phantom.options import TRAINING_SPACING_MM
from phantom.painting import paint
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations
from phantom.study import WrittenStudy, write_study
from phantom.training_set import TrainingPair, divided, drawn_options, write_pair
from phantom.truth import count_volumes

__all__ = ["map_name", "painted_pair", "write_painted_set", "write_painted_study"]

_FILLED = 0.6
"""Share of a station's height that a map must fill for the station to be scanned."""


def painted_pair(
    source: MappedBody,
    seed: int,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    *,
    water_alone: bool = False,
) -> TrainingPair:
    """Paint a map, scan it in the archive's stations and bring it to a network's voxels.

    Parameters
    ----------
    source : MappedBody
    seed : int
        Decides tissue, scan and the grid's origin.
    spacing_mm : tuple of float, (x, y, z)
    water_alone : bool
        Fat is what stands in for it in a study of water alone (`operators.station_fusion.water_alone`).
    """
    tissues = paint(source.body, seed)
    stations = archive_stations()
    scans = acquire_study(tissues, stations, drawn_options(seed), seed)
    (water, fat), fused = fused_images(scans, (Contrast.WATER, Contrast.FAT))
    if water_alone:
        fat = fat_stand_in(water, body_of_water(water, fused))
    grid = _training_grid(source.body.grid, np.array(spacing_mm), np.random.default_rng([seed, 12]))
    fine = divided(grid)

    def nearest(target: Grid) -> NDArray[np.uint8]:
        return resample_labels(source.body.labels, source.body.grid, target)[0].astype(np.uint8)

    return TrainingPair(
        water=Volume(resampled(water, fused, grid), grid),
        fat=Volume(resampled(fat, fused, grid), grid),
        labels=Volume(nearest(grid), grid),
        fine_labels=Volume(nearest(fine), fine),
    )


def write_painted_study(out: Path, source: MappedBody, seed: int = 0) -> WrittenStudy:
    """Write a DICOM study of the painted map, in those of the archive's stations that the map fills, and its truth.

    Raises
    ------
    OutputError
        If the output exists already or cannot be written.
    """
    tissues = paint(source.body, seed)
    z, _, _ = axes(source.body.grid)
    shares = [
        (min(high, z[-1]) - max(low, z[0])) / (high - low)
        for low, high in (station.z_edges_mm for station in archive_stations())
    ]
    filled = [s for s, share in zip(archive_stations(), shares, strict=True) if share >= min(_FILLED, max(shares))]
    volumes = count_volumes(source.body.labels, source.body.grid)
    person = draw_participant(seed, tmv_cm3=volumes.tmv_cm3, pa_ratio=volumes.pa_ratio)
    return write_study(out, participant=person, stations=filled, tissues=tissues)


def map_name(path: Path) -> str:
    """A name for the pairs of a label map: those of several maps can lie in one folder, and no file's name is in it."""
    return f"painted-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def write_painted_set(
    out: Path,
    source: MappedBody,
    name: str,
    seeds: Sequence[int],
    *,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    water_alone: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``out/<name>-<seed>/{water,fat,labels,fine_labels}.nrrd`` and ``classes.json``.

    Parameters
    ----------
    out : Path
    source : MappedBody
    name : str
        First part of the folders' names.
    seeds : sequence of int
        One for each painting.
    spacing_mm : tuple of float, (x, y, z)
    water_alone : bool
        Fat of every other painting is computed from its water.
    progress : callable, optional
        Called with the paintings done so far and their number.

    Raises
    ------
    OutputError
        See `write_pair`, which also says what happens to existing pairs.
    """
    classes = {"classes.json": json.dumps(source.classes, indent=1) + "\n"}
    body = source.digest()
    for done, seed in enumerate(seeds):
        alone = water_alone and seed % 2 == 1
        made_with = {"body": body, "seed": seed, "spacing_mm": list(spacing_mm), "water_alone": alone}
        make = partial(painted_pair, source, seed, spacing_mm, water_alone=alone)
        write_pair(out / f"{name}-{seed:04d}", made_with, make, classes)
        if progress is not None:
            progress(done + 1, len(seeds))


def _training_grid(body: Grid, spacing: NDArray[np.float64], rng: np.random.Generator) -> Grid:
    """A grid over the map's extent, its origin at a random place within a voxel."""
    z, y, x = axes(body)
    low, high = np.array([x[0], y[0], z[0]]), np.array([x[-1], y[-1], z[-1]])
    counts = np.maximum(np.floor((high - low) / spacing).astype(int), 1)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + spacing / 2 + rng.uniform(0.0, 1.0, 3) * (high - low - counts * spacing)
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)
