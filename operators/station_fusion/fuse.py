"""The second stage: fuse stations into whole volumes (method, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from operators.core.grid_geometry import TO_FACE, corner_indices
from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused, Grid, QualityFlag, Study
from operators.station_fusion.agreement import body_flags, overlap_agreement, seam_visibility, shift_flags, step_flags
from operators.station_fusion.bias_field import bias_corrected
from operators.station_fusion.blending import fades, matching_gains, scaled
from operators.station_fusion.body import body_mask, fat_fraction
from operators.station_fusion.choice import ARCHIVE_POSITIONS, CUT_ABOVE, Choice
from operators.station_fusion.common_grid import common_grid
from operators.station_fusion.contrast_agent import agent_flags
from operators.station_fusion.contrast_scales import on_one_scale
from operators.station_fusion.coverage import coverage_flags
from operators.station_fusion.empty_slices import empty_slice_flags
from operators.station_fusion.image_quality import image_quality_flags
from operators.station_fusion.knees import reaches_knees
from operators.station_fusion.lateral_edges import lateral_edge_flags
from operators.station_fusion.overlaps import Overlap, sample_overlaps
from operators.station_fusion.positions import TablePosition
from operators.station_fusion.repeated_slices import repeated_slice_flags
from operators.station_fusion.resample import average_where_faster, choose_device
from operators.station_fusion.sorting import sort_stations
from operators.station_fusion.station_scales import on_measured_scale, on_stated_scale
from operators.station_fusion.swap_checks import checked_for_swaps

__all__ = ["fuse"]

Progress = Callable[[str, float], None]


def fuse(study: Study, options: FusionOptions | None = None, *, progress: Progress | None = None) -> Fused:
    """Fuse a study's stations into four volumes on one grid, with body mask and fat fraction.

    Series are grouped into table positions. Of several acquisitions at the same place, the newest is kept unless it is
    worse. The grid has the orientation of the highest station, the finest spacing along each axis and the extent of all
    stations. Stations are sampled by trilinear interpolation and averaged where they overlap. A gap between stations
    is 0, and is outside the body mask.

    Parameters
    ----------
    study : Study
    options : FusionOptions, optional
        The paper's settings by default.
    progress : callable, optional
        Called with the current step and the fraction done so far, 0 to 1.

    Returns
    -------
    Fused
        Volumes (z, y, x). ``stations`` has four entries for each position, in the order of `Contrast`. ``overlaps``
        compares stations as acquired: its entries are those of `overlap_agreement` and ``seam_visibility``. ``flags``
        are the study's and those of fusion, which docs/flags.md lists.

    Raises
    ------
    UsageError
        For ``cuda`` without a device, or an unusable spacing.
    InputError
        When there is no station, or a station lacks a contrast, was not decoded, or has NaN or infinite signal.
    GeometryError
        When contrasts of one station share too little, stations have different
        frames of reference or too few slices left after trimming, or the grid
        would be too large.
    """
    options = options or FusionOptions()
    tell = progress or _silent
    choose_device(options.device)  # a GPU that is not there is an error before the work
    tell("sorting stations", 0.0)
    stations = sort_stations(study, options)
    pelvis_to_knee, absent = stations.pelvis_to_knee, stations.absent
    grids = [position.grid for position in stations.positions]
    grid = common_grid(grids, options.spacing_mm)
    tell("comparing overlaps", 0.1)
    compared = _compared(stations.positions, grid, with_fat=Contrast.FAT not in absent, fix_swaps=options.fix_swaps)
    chosen = compared.positions
    fused_positions, matched = _evened_out(chosen, compared.overlaps, grid, options)

    tell(f"sampling {len(chosen)} stations", 0.3)
    sampled, engine = average_where_faster(
        [position.signals for position in fused_positions],
        grids,
        grid,
        options.device,
        fades=fades(chosen, options.blend),
    )
    by_contrast = dict(zip(Contrast, sampled, strict=True))
    water, fat, in_phase = (by_contrast[contrast] for contrast in (Contrast.WATER, Contrast.FAT, Contrast.IN))
    tell("finding the body", 0.6)
    body = body_mask(water, fat, grid)
    fraction = np.zeros_like(water) if Contrast.FAT in absent else fat_fraction(water, fat, body)
    label_slices = _slices_of(pelvis_to_knee, grid, some=len(pelvis_to_knee.positions) < len(chosen))
    # Below the knees there are calves, which must not be taken for thighs.
    upwards = slice(label_slices[0] if label_slices else 0, None)
    reached = reaches_knees(water[upwards], fat[upwards], body[upwards], grid)
    tell("fused", 1.0)
    return Fused(
        water=water,
        fat=fat,
        in_phase=in_phase,
        opposed=by_contrast[Contrast.OPPOSED],
        grid=grid,
        body=body,
        fat_fraction=fraction,
        stations=tuple(
            position.stations[contrast] for position in chosen for contrast in Contrast if contrast not in absent
        ),
        overlaps=tuple(
            {**agreement, "seam_visibility": seam_visibility(overlap, in_phase, grid)}
            for agreement, overlap in zip(compared.agreements, compared.overlaps, strict=True)
        ),
        flags=(
            *stations.flags,
            *compared.flags,
            *matched,
            *agent_flags(chosen),
            *(f for f in pelvis_to_knee.flags if options.stations != "all" or f.code in CUT_ABOVE),
            *coverage_flags(chosen),
            *(() if stations.found == ARCHIVE_POSITIONS else _knee_flags(reached)),
            *empty_slice_flags(chosen),
            *repeated_slice_flags(chosen),
            *image_quality_flags(chosen),
            *lateral_edge_flags(body, grid, grids, label_slices),
        ),
        label_slices=label_slices,
        absent=absent,
        engine=engine,
    )


@dataclass(frozen=True)
class _Compared:
    """Positions on one scale, how well neighbours agree where they overlap, and what was found."""

    positions: tuple[TablePosition, ...]
    overlaps: tuple[Overlap, ...]
    agreements: tuple[Mapping[str, float], ...]
    flags: tuple[QualityFlag, ...]


def _compared(positions: tuple[TablePosition, ...], grid: Grid, *, with_fat: bool, fix_swaps: bool) -> _Compared:
    """Bring contrasts and stations to one scale, and compare neighbours where they overlap.

    Swaps of water and fat are corrected if ``fix_swaps``; the overlaps are those before.
    """
    flags: tuple[QualityFlag, ...] = ()
    if with_fat:
        positions, flags = on_one_scale(positions)
    overlaps = sample_overlaps(positions, grid)
    for on_scale in (on_stated_scale, on_measured_scale):
        rescaled, scale_flags = on_scale(positions, overlaps)
        flags = (*flags, *scale_flags)
        if any(one is not other for one, other in zip(rescaled, positions, strict=True)):
            positions, overlaps = rescaled, sample_overlaps(rescaled, grid)
    agreements = tuple(overlap_agreement(overlap) for overlap in overlaps)
    swaps_found: tuple[QualityFlag, ...] = ()
    if with_fat:
        positions, swaps_found = checked_for_swaps(positions, overlaps, fix=fix_swaps)
    flags = (
        *flags,
        *body_flags(overlaps, agreements, positions),
        *swaps_found,
        *shift_flags(agreements, positions),
        *step_flags(agreements, positions),
    )
    return _Compared(positions, overlaps, agreements, flags)


def _slices_of(choice: Choice, grid: Grid, *, some: bool) -> tuple[int, int] | None:
    """The slices of a grid that show pelvis to knee: the first, and one past the last; None for all.

    ``some`` tells that the grid covers further positions too.
    """
    middle = [(grid.shape[2] - 1) / 2, (grid.shape[1] - 1) / 2]
    heights = np.array([(grid.affine @ [*middle, k, 1.0])[2] for k in range(grid.shape[0])])
    (shown,) = np.nonzero((heights >= choice.z_range_mm[0]) & (heights <= choice.z_range_mm[1]))
    first, end = (int(shown[0]), int(shown[-1]) + 1) if shown.size else (0, grid.shape[0])
    if some:
        to_grid = np.linalg.inv(grid.affine)
        places = [(corner_indices(p.grid, TO_FACE) @ (to_grid @ p.grid.affine).T)[:, 2] for p in choice.positions]
        low, high = (f(f(place) for place in places) for f in (min, max))
        first, end = max(first, round(low + TO_FACE)), min(end, round(high + TO_FACE))
    return None if (first, end) == (0, grid.shape[0]) else (first, end)


def _evened_out(
    positions: Sequence[TablePosition],
    overlaps: Sequence[Overlap],
    grid: Grid,
    options: FusionOptions,
) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """The positions after bias correction and intensity matching, if the options request them."""
    changed = tuple(positions)
    if options.bias_correction == "n4":
        changed = tuple(bias_corrected(position) for position in changed)
        overlaps = sample_overlaps(changed, grid)
    if not options.match_intensity or not overlaps:
        return changed, ()
    gains = matching_gains(len(changed), overlaps)
    message = f"Stations were multiplied by {', '.join(f'{gain:.3f}' for gain in gains)}, superior to inferior."
    return (
        tuple(scaled(position, gain) for position, gain in zip(changed, gains, strict=True)),
        (QualityFlag("intensity-matched", "info", message),),
    )


def _knee_flags(reached: bool | None) -> tuple[QualityFlag, ...]:
    if reached is not False:
        return ()
    message = (
        "The lean cross-section at the lower end is that of a thigh, not of a knee: the lowest station seems to be "
        "missing, and muscles that extend below it are cut off."
    )
    return (QualityFlag("no-knee-coverage", "error", message),)


def _silent(what: str, part: float) -> None:
    pass
