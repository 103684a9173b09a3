"""Stations in, fused volumes out: the second stage (PAPER section 3)."""

from __future__ import annotations

from collections.abc import Callable

from operators.errors import UsageError
from operators.station_fusion.agreement import overlap_agreement
from operators.station_fusion.body import body_mask, fat_fraction
from operators.station_fusion.common_grid import common_grid
from operators.station_fusion.positions import StationChoice, choose_positions, coverage_flags, find_positions
from operators.station_fusion.resample import Device, average_stations, choose_device
from operators.volume import Contrast, Fused, QualityFlag, Study

__all__ = ["fuse"]

_ARCHIVE_POSITIONS = 6

Progress = Callable[[str, float], None]


def fuse(
    study: Study,
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    device: Device = "auto",
    stations: StationChoice = "pelvis-to-knee",
    progress: Progress | None = None,
) -> Fused:
    """Fuse a study's stations into four volumes on one grid, with body mask and fat fraction.

    Series are grouped into table positions; of acquisitions at the same place
    the newest is kept. Of five positions or more, ``pelvis-to-knee`` takes the
    lowest four; four or fewer are all taken. The grid has the orientation of
    the highest station, the finest spacing along each axis and the extent of
    all; stations are sampled by trilinear interpolation and averaged where
    they overlap. A gap between stations stays 0 and outside the body.

    Parameters
    ----------
    study : Study
    spacing_mm : tuple of float, (x, y, z), optional
        Grid spacing; default is the finest of the stations.
    device : {"auto", "cpu", "cuda"}
    stations : {"pelvis-to-knee", "all"}
    progress : callable, optional
        Called with what is being done and the part done so far, 0 to 1.

    Returns
    -------
    Fused
        ``stations`` holds four entries for each position, in the order of
        `Contrast`. ``flags`` are the study's and those of fusion:
        ``duplicate-station`` (info), ``incomplete-duplicate`` and
        ``station-count`` (warning), ``station-gap`` and
        ``no-pelvis-to-knee-coverage`` (error).

    Raises
    ------
    UsageError
        For an unknown option, ``cuda`` without a device, or an unusable spacing.
    InputError
        When there is no station, or one lacks a contrast.
    GeometryError
        When contrasts of one station differ in geometry, stations in their
        frame of reference, or the grid would be too large.
    """
    if stations not in ("pelvis-to-knee", "all"):
        raise UsageError("stations", f"{stations!r}", "pelvis-to-knee or all", "Choose one of the two.")
    tell = progress or _silent
    machine = choose_device(device)
    tell("sorting stations", 0.0)
    found, flags = find_positions(study.stations)
    chosen = choose_positions(found, stations)
    grids = [position.grid for position in chosen]
    grid = common_grid(grids, spacing_mm)
    tell(f"sampling {len(chosen)} stations", 0.1)
    sampled = average_stations([position.signals for position in chosen], grids, grid, machine)
    by_contrast = dict(zip(Contrast, sampled, strict=True))
    water, fat = by_contrast[Contrast.WATER], by_contrast[Contrast.FAT]
    tell("comparing overlaps", 0.4)
    overlaps = overlap_agreement(chosen, grid)
    tell("finding the body", 0.5)
    body = body_mask(water, fat, grid)
    fraction = fat_fraction(water, fat, body)
    tell("fused", 1.0)
    return Fused(
        water=water,
        fat=fat,
        in_phase=by_contrast[Contrast.IN],
        opposed=by_contrast[Contrast.OPPOSED],
        grid=grid,
        body=body,
        fat_fraction=fraction,
        stations=tuple(position.stations[contrast] for position in chosen for contrast in Contrast),
        overlaps=overlaps,
        flags=(*study.flags, *flags, *_count_flags(len(found), stations), *coverage_flags(chosen)),
    )


def _count_flags(found: int, choice: StationChoice) -> tuple[QualityFlag, ...]:
    """A warning when the lowest four were chosen from a number that is not the archive's six."""
    if choice == "all" or found <= 4 or found == _ARCHIVE_POSITIONS:
        return ()
    message = (
        f"{found} table positions where the archive scans {_ARCHIVE_POSITIONS}; the lowest four are taken for "
        "pelvis to knee, which is wrong if a lower one is missing."
    )
    return (QualityFlag("station-count", "warning", message),)


def _silent(what: str, part: float) -> None:
    pass
