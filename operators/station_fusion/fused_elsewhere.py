"""A fused study from volumes that were fused elsewhere: fusion is passed over, and what it checks is checked as far
as one volume allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused, Grid, QualityFlag, Station, Study
from operators.station_fusion.body import body_mask, fat_fraction, slices_of_body
from operators.station_fusion.choice import CUT_ABOVE, choose
from operators.station_fusion.contrast_scales import on_one_scale
from operators.station_fusion.coverage import MINIMUM_COVERAGE_MM
from operators.station_fusion.knees import reaches_knees
from operators.station_fusion.positions import TablePosition
from operators.station_fusion.stand_ins import absent_contrasts, absent_flags, with_stand_ins
from operators.station_fusion.swap_checks import checked_for_swaps
from operators.station_fusion.water_alone import body_of_water

__all__ = ["fused_elsewhere"]


def fused_elsewhere(study: Study, options: FusionOptions) -> Fused:
    """Body mask, fat fraction and quality of a study whose stations are whole volumes on one grid.

    Parameters
    ----------
    study : Study
        With one station for each contrast (`Study.fused_elsewhere`).
    options : FusionOptions
        Only ``fix_swaps`` applies. The voxels are taken as they are, and ``options-not-used`` names the others.

    Returns
    -------
    Fused
        Flags: the study's, ``options-not-used``, ``contrast-absent``, those of `_coverage_flags`, and
        ``water-fat-rescaled``, ``water-fat-mismatch`` and ``water-fat-swap`` as for `fuse`. The body is not looked for
        at the lateral edges (``cut-at-side``), because volumes made elsewhere are often cropped to the body.
    """
    absent = absent_contrasts(study.stations)
    position = TablePosition(_by_contrast(with_stand_ins(study.stations)))
    flags = [*study.flags, *_unused(options), *absent_flags(absent)]
    if Contrast.FAT not in absent:
        (position,), scale_flags = on_one_scale((position,))
        (position,), swap_flags = checked_for_swaps((position,), (), fix=options.fix_swaps)
        flags += [*scale_flags, *swap_flags]
    signal: dict[Contrast, NDArray[np.float32]] = position.signals_by_contrast
    water, fat, grid = signal[Contrast.WATER], signal[Contrast.FAT], position.grid
    body = body_of_water(water, grid) if Contrast.FAT in absent else body_mask(water, fat, grid)
    flags += _coverage_flags(position, body)
    return Fused(
        water=water,
        fat=fat,
        in_phase=signal[Contrast.IN],
        opposed=signal[Contrast.OPPOSED],
        grid=grid,
        body=body,
        fat_fraction=np.zeros_like(water) if Contrast.FAT in absent else fat_fraction(water, fat, body),
        stations=tuple(position.stations[contrast] for contrast in Contrast if contrast not in absent),
        flags=tuple(flags),
        absent=absent,
    )


def _unused(options: FusionOptions) -> tuple[QualityFlag, ...]:
    """``options-not-used`` (warning): a reader must not take the volume for one that was fused as asked."""
    default = FusionOptions()
    names = [one.name for one in fields(options) if getattr(options, one.name) != getattr(default, one.name)]
    asked = [f"--{name.removesuffix('_mm').replace('_', '-')}" for name in names if name not in ("device", "fix_swaps")]
    if not asked:
        return ()
    message = f"The volumes were fused elsewhere and taken as they are: {', '.join(asked)} had no effect."
    return (QualityFlag("options-not-used", "warning", message, quantities=()),)


def _coverage_flags(position: TablePosition, body: NDArray[np.bool_]) -> tuple[QualityFlag, ...]:
    """What a volume lacks of pelvis to knee. Slices above and below the body, which many tools add, count for nothing.

    ``partial-coverage`` (warning): shorter than from pelvis to knee. For a long one, ``short-trunk`` (warning) or
    ``no-pelvis-coverage`` (error) where it ends too low, ``knees-not-seen`` (warning) where it ends above the knees,
    and ``coverage-unknown`` (warning) where the images do not tell.

    Parameters
    ----------
    position : TablePosition
        The volume. What stands in for fat is good enough.
    body : ndarray, shape (z, y, x), bool
    """
    first, end = slices_of_body(body)
    position, body = _part(position, slice(first, end)), body[first:end]
    grid = position.grid
    covered_mm = grid.shape[0] * abs(float(grid.affine[2, 2]))
    if covered_mm < MINIMUM_COVERAGE_MM:
        message = (
            f"The volume covers {covered_mm:.0f} mm of the body, less than from pelvis to knee "
            f"({MINIMUM_COVERAGE_MM:.0f} mm). "
            "Structures that reach its ends are cut there: phenotypes that need their volume are not given."
        )
        return (QualityFlag("partial-coverage", "warning", message),)
    choice = choose((position,))
    flags = [flag for flag in choice.flags if flag.code in CUT_ABOVE]
    if all(flag.code != "station-count" for flag in choice.flags):  # the images show pelvis and knees
        return tuple(flags)
    signal = position.signals_by_contrast
    if reaches_knees(signal[Contrast.WATER], signal[Contrast.FAT], body, grid) is False:
        message = (
            "The lower end of the volume does not look like knees. Structures that reach its lowest slices are cut "
            "there: phenotypes that need their volume are not given."
        )
        # As for a short trunk, no number that is given is in doubt.
        flags.append(QualityFlag("knees-not-seen", "warning", message, quantities=()))
    else:
        message = (
            "The images do not show where the legs part and where the knees are, so that it is not known whether the "
            "volume reaches from pelvis to knee. If it does not, volumes of muscles that its ends cut are too small."
        )
        flags.append(QualityFlag("coverage-unknown", "warning", message, quantities=("volume",)))
    return tuple(flags)


def _part(position: TablePosition, slices: slice) -> TablePosition:
    """Some slices of a position."""
    affine = position.grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * slices.start
    stations = {}
    for contrast, station in position.stations.items():
        voxels = station.voxels[slices]
        stations[contrast] = replace(station, voxels=voxels, grid=Grid(voxels.shape, affine))
    return TablePosition(stations)


def _by_contrast(stations: tuple[Station, ...]) -> Mapping[Contrast, Station]:
    return {station.contrast: station for station in stations}
