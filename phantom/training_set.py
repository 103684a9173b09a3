"""Training pairs without DICOM: participants are scanned, fused and resampled in memory, which is quick."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import OutputError
from operators.core.nrrd_files import write_volume
from operators.core.output_files import new_folder
from operators.core.volume import Contrast, Grid, Volume
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_labels, build_tissues, fit_body
from phantom.dixon_signal import AcquisitionOptions
from phantom.fused import fused_images, resampled
from phantom.options import TRAINING_SPACING_MM
from phantom.participant import Participant, draw_participant
from phantom.station_geometry import FUSED_STATION_COUNT, archive_stations

__all__ = [
    "FINE",
    "TrainingPair",
    "divided",
    "drawn_options",
    "training_pair",
    "varied_participant",
    "write_pair",
    "write_training_set",
]

# Coarse enough for one window of the demo network to hold most of a body, because position tells
# neighbouring muscles apart.

FINE = 2
"""Number of voxels of `TrainingPair.fine_labels` per image voxel along each axis."""

# Extent around every body: that of the lower four stations along z, and a field of view across.
_LOW_MM = np.array([-240.0, -190.0, -48.0])
_HIGH_MM = np.array([240.0, 190.0, 744.0])

_MADE_WITH = "made_with.json"
_VARIED_MUSCLE_SPREAD = 0.2


@dataclass(frozen=True)
class TrainingPair:
    """One participant in the form that the network gets.

    Attributes
    ----------
    water, fat : Volume, float32
        Fused and resampled.
    labels : Volume, uint8
        The true structure at the voxel centres.
    fine_labels : Volume, uint8
        The same on voxels `FINE` times smaller along each axis, which gives the share of each class in a voxel.
    """

    water: Volume
    fat: Volume
    labels: Volume
    fine_labels: Volume


def training_pair(
    seed: int, spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM, *, varied: bool = False
) -> TrainingPair:
    """Make one participant of the published cohort (method, section 1), scanned, fused and at a network's spacing.

    The images are made as in the application (slices of the stations' own
    thickness, coil bias, gains, motion, noise, averaged overlaps, trilinear
    resampling), so that the network is trained on images like those at inference.
    Labels are the anatomy itself, which the scan shows displaced and blurred.

    Parameters
    ----------
    seed : int
        Seed of the participant, of the scan and of the grid's origin.
    spacing_mm : tuple of float, (x, y, z)
    varied : bool
        Use the anatomy of `varied_participant`.
    """
    participant = varied_participant(seed) if varied else draw_participant(seed)
    body = fit_body(participant)
    scans = acquire_study(
        build_tissues(participant, body_grid(participant), body),
        archive_stations(FUSED_STATION_COUNT),
        drawn_options(seed),
        seed,
    )
    (water, fat), fused = fused_images(scans, (Contrast.WATER, Contrast.FAT))
    grid = _grid(np.array(spacing_mm), np.random.default_rng([seed, 6]))
    fine = divided(grid)
    return TrainingPair(
        water=Volume(resampled(water, fused, grid), grid),
        fat=Volume(resampled(fat, fused, grid), grid),
        labels=Volume(build_labels(body, grid), grid),
        fine_labels=Volume(build_labels(body, fine), fine),
    )


def varied_participant(seed: int) -> Participant:
    """Draw a participant whose muscle sizes vary far more than those of people.

    A network trained only on usual proportions relies on the usual position of a
    border and measures every P/A ratio too close to the mean. If all proportions
    are equally likely, it has to use the image. Thighs that muscle fills to the skin are as usual as thin ones.
    """
    pa_ratio, asymmetry, volume = np.random.default_rng([seed, 7]).uniform([0.27, -0.15, 0.85], [0.66, 0.15, 1.35])
    drawn = draw_participant(
        seed, pa_ratio=float(pa_ratio), lr_asymmetry=float(asymmetry), muscle_spread=_VARIED_MUSCLE_SPREAD
    )
    return replace(drawn, tmv_cm3=drawn.tmv_cm3 * float(volume))


def drawn_options(seed: int) -> AcquisitionOptions:
    """Draw a scan's imperfections, each at half to one and a half times its usual size."""
    usual = AcquisitionOptions()
    noise, bias, gain, shift = np.random.default_rng([seed, 5]).uniform(0.5, 1.5, 4)
    return AcquisitionOptions(
        noise_sd=usual.noise_sd * noise,
        bias_sd=usual.bias_sd * bias,
        gain_sd=usual.gain_sd * gain,
        shift_sd_mm=usual.shift_sd_mm * shift,
        breathing_sd_mm=usual.breathing_sd_mm * shift,
    )


def write_training_set(
    out: Path,
    seeds: range,
    *,
    spacing_mm: tuple[float, float, float] = TRAINING_SPACING_MM,
    varied: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``out/<seed>/{water,fat,labels,fine_labels}.nrrd`` for every seed; see `write_pair` for existing ones.

    Training can start while this runs, because each participant's folder appears whole.

    Raises
    ------
    OutputError
        See `write_pair`.
    """
    for done, seed in enumerate(seeds):
        made_with = {"seed": seed, "spacing_mm": list(spacing_mm), "varied": varied}
        write_pair(out / f"{seed:06d}", made_with, partial(training_pair, seed, spacing_mm, varied=varied))
        if progress is not None:
            progress(done + 1, len(seeds))


def write_pair(
    folder: Path, made_with: Mapping[str, Any], make: Callable[[], TrainingPair], files: Mapping[str, str] | None = None
) -> None:
    """Write ``{water,fat,labels,fine_labels}.nrrd`` and ``made_with.json``; a whole pair that exists already is kept.

    Parameters
    ----------
    folder : Path
    made_with : mapping
        The options that decide the pair.
    make : callable
        Makes it.
    files : mapping of str to str, optional
        Names and texts of further files.

    Raises
    ------
    OutputError
        When the folder holds a pair that was made with other options, or only a part of one, or cannot be written.
    """
    record = folder / _MADE_WITH
    names = [f"{field.name}.nrrd" for field in fields(TrainingPair)]
    if all((folder / name).is_file() for name in (*names, *(files or ()))):
        if record.is_file() and _read(record) != dict(made_with):  # those of older versions have none
            raise OutputError(
                f"{folder.parent.name}/{folder.name}",
                f"a pair that was made with other options (see {_MADE_WITH} in it)",
                f"one made with {json.dumps(dict(made_with))}",
                "Choose another output folder, or remove this one.",
            )
        return
    with new_folder(folder) as unfinished:
        pair = make()
        for field in fields(pair):
            write_volume(unfinished / f"{field.name}.nrrd", getattr(pair, field.name))
        for name, text in {**(files or {}), _MADE_WITH: json.dumps(dict(made_with)) + "\n"}.items():
            (unfinished / name).write_text(text, encoding="utf-8")


def _read(record: Path) -> Any:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _grid(spacing: NDArray[np.float64], rng: np.random.Generator) -> Grid:
    """A grid around every body with its origin at a random place within a voxel."""
    counts = np.floor((_HIGH_MM - _LOW_MM) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    slack = _HIGH_MM - _LOW_MM - counts * spacing
    affine[:3, 3] = _LOW_MM + spacing / 2 + rng.uniform(0.0, 1.0, 3) * slack
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), affine)


def divided(grid: Grid) -> Grid:
    """The grid of `TrainingPair.fine_labels`: each voxel in `FINE` parts along each axis."""
    affine = grid.affine @ np.diag([1 / FINE, 1 / FINE, 1 / FINE, 1.0])
    affine[:3, 3] = grid.origin_mm - np.array(grid.spacing_mm) * (FINE - 1) / (2 * FINE)
    return Grid(tuple(n * FINE for n in grid.shape), affine)  # type: ignore[arg-type]
