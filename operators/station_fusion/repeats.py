"""A place that was scanned more than once: which images belong to one scan, and which scan to use.

Series are numbered and timed when they are reconstructed, and a scan can be
worse than the one that it was to replace. So the images decide: water and fat
of one scan add up to its in-phase image, and a good scan agrees with the
stations above and below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from operators.core.grid_geometry import extent_mm, shared_box
from operators.core.volume import Contrast, Station
from operators.station_fusion.contrast_agent import told_by
from operators.station_fusion.contrast_scales import contrast_scales
from operators.station_fusion.resample import average_stations

__all__ = ["Acquisition", "is_complete", "is_decoded", "matched_by_images", "newest_whole", "scan_to_use"]

Acquisition = dict[Contrast, Station]
"""What was scanned at one place in one go; complete with four contrasts."""

_CLEARLY = 0.7
"""Of the misfit when series are matched by their order; a match by images must be better than this."""

_MOST_COMBINATIONS = 400

_SMALLER = 0.9
"""Of the extent or of the number of slices per millimetre of the best scan at the place."""

_COARSER = 0.75
"""Of the pixels per millimetre of the best scan at the place; scanners differ by some per cent between field sizes."""

_ENHANCED = 1.15
"""Ratio of the brightness of muscle in two scans, over that of fat. Contrast agents brighten muscle by 20 to 45%."""

_EMPTY = 0.1
"""Of the mean signal of the brightest slice: a slice with less shows noise only."""

_MISFIT = 0.12
_DISAGREES = 0.09
"""By how much more than the best scan at the place one may disagree with its neighbours: logarithm of the brightness
ratio, plus mean absolute difference as a fraction of the signal. Gains of stations differ by some per cent."""

_TISSUE_FRACTION = 0.1
_LEAST_SHARED = 500


def is_complete(acquisition: Acquisition) -> bool:
    """Whether all four contrasts are there."""
    return len(acquisition) == len(Contrast)


def is_decoded(acquisition: Acquisition) -> bool:
    """Whether the voxels of all contrasts are known."""
    return all(station.decoded for station in acquisition.values())


def matched_by_images(acquisitions: Sequence[Acquisition]) -> list[Acquisition]:
    """Put together the contrasts whose images belong together.

    Parameters
    ----------
    acquisitions : sequence of dict
        At one place, as the order of series has them, oldest first.

    Returns
    -------
    list of dict
        As given unless the contrasts that occur more than once are decoded,
        and other combinations of the images fit clearly better.
    """
    by_contrast = {contrast: [a[contrast] for a in acquisitions if contrast in a] for contrast in Contrast}
    counts = [len(stations) for stations in by_contrast.values()]
    scans = min(counts)
    pool = [station for stations in by_contrast.values() for station in stations]
    repeated = scans >= 1 and max(counts) > 1 and all(station.decoded for station in pool)
    if not repeated or int(np.prod(counts, dtype=np.int64)) > _MOST_COMBINATIONS:
        return list(acquisitions)
    chosen = _best_scans(by_contrast, scans)
    ordered = [_misfit(a) for a in acquisitions if is_complete(a)]
    misfits = [_misfit(scan) for scan in chosen]
    better = sum(misfits) < _CLEARLY * sum(ordered) if len(ordered) >= scans else max(misfits) <= _MISFIT
    if not better:
        return list(acquisitions)
    matched = [{contrast: scan[contrast] for contrast in Contrast} for scan in chosen]
    used = {id(station) for scan in matched for station in scan.values()}
    rest = [{c: station for c, station in a.items() if id(station) not in used} for a in acquisitions]
    return [*(a for a in rest if a), *matched]


def _best_scans(by_contrast: Mapping[Contrast, Sequence[Station]], count: int) -> list[Acquisition]:
    """``count`` scans without a common image: water and fat that fit the in-phase image best, then the opposed one."""
    triples = [
        {Contrast.IN: i, Contrast.WATER: w, Contrast.FAT: f}
        for i in by_contrast[Contrast.IN]
        for w in by_contrast[Contrast.WATER]
        for f in by_contrast[Contrast.FAT]
    ]
    misfits = [_misfit(triple) for triple in triples]
    scans: list[Acquisition] = []
    used: set[int] = set()
    for n in np.argsort(misfits, kind="stable").tolist():
        images = {id(station) for station in triples[n].values()}
        if len(scans) == count or images & used:
            continue
        used |= images
        free = [station for station in by_contrast[Contrast.OPPOSED] if id(station) not in used]
        apart = [_misfit({**triples[n], Contrast.OPPOSED: station}, opposed=True) for station in free]
        opposed = free[int(np.argmin(apart))]
        used.add(id(opposed))
        scans.append({**triples[n], Contrast.OPPOSED: opposed})
    return scans


def newest_whole(acquisitions: Sequence[Acquisition]) -> int:
    """The newest scan at a place with all four contrasts that shows as much as the others.

    Without a contrast agent if there is one; the newest of all where none is complete.
    """
    numbers = _native(acquisitions)
    partial = _partial(acquisitions, numbers)
    return next((n for n in reversed(numbers) if n not in partial), len(acquisitions) - 1)


def scan_to_use(acquisitions: Sequence[Acquisition], neighbours: Sequence[Acquisition]) -> tuple[int, str]:
    """The scan to use at a place: the newest complete one, unless it is worse than an older one.

    Parameters
    ----------
    acquisitions : sequence of dict
        At one place, oldest first.
    neighbours : sequence of dict
        The scans used above and below.

    Returns
    -------
    number : int
        Of the scan to use.
    reason : str
        What is wrong with newer ones; empty when the newest is used.
    """
    numbers = _native(acquisitions)
    if not numbers:
        return len(acquisitions) - 1, ""
    newest = numbers[-1]
    agents = [found for a in acquisitions[newest + 1 :] if is_complete(a) and (found := told_by(a))]
    agent = f"was scanned after a contrast agent ({agents[0]})" if agents else ""
    if len(numbers) < 2 or not all(is_decoded(acquisitions[n]) for n in numbers):
        return newest, agent
    reasons = _partial(acquisitions, numbers)
    reasons |= _unfinished(acquisitions, [n for n in numbers if n not in reasons])
    whole = [n for n in numbers if n not in reasons]
    misfits = {n: _misfit(acquisitions[n]) for n in whole}
    for n in whole:
        if misfits[n] > _MISFIT >= min(misfits.values()):
            reasons[n] = "has water and fat that do not add up to its in-phase image"
    for n in whole[1:]:
        if n not in reasons and _is_enhanced(acquisitions[n], acquisitions[whole[0]]):
            reasons[n] = "has brighter muscle beside the same fat, as after a contrast agent"
    # Only with scans that fit together, since an empty one disagrees with nothing.
    apart = {n: _disagreement(acquisitions[n], neighbours) for n in whole if n not in reasons}
    for n, difference in apart.items():
        if difference > min(apart.values()) + _DISAGREES:
            reasons[n] = "agrees less with the stations above and below (contrast agent, motion or another body)"
    chosen = next((n for n in reversed(whole) if n not in reasons), whole[-1])
    return chosen, agent if chosen == newest else reasons[newest]


def _native(acquisitions: Sequence[Acquisition]) -> list[int]:
    """Numbers of the complete scans without a contrast agent; of all complete ones where none is without."""
    complete = [n for n, a in enumerate(acquisitions) if is_complete(a)]
    return [n for n in complete if not told_by(acquisitions[n])] or complete


def _partial(acquisitions: Sequence[Acquisition], numbers: Sequence[int]) -> dict[int, str]:
    """Which scans show less than the others, and in what; never all of them."""
    sizes = {n: _size_mm3(acquisitions[n]) for n in numbers}
    fineness = {n: 1.0 / _slice_spacing_mm(acquisitions[n][Contrast.IN]) for n in numbers}
    pixels = {n: 1.0 / _pixel_mm(acquisitions[n][Contrast.IN]) for n in numbers}
    reasons = {}
    for n in numbers:
        if sizes[n] < _SMALLER * max(sizes.values()):
            reasons[n] = "covers less"
        elif fineness[n] < _SMALLER * max(fineness.values()):
            reasons[n] = "has fewer slices"
        elif pixels[n] < _COARSER * max(pixels.values()):
            reasons[n] = "has larger pixels"
    if len(reasons) == len(numbers) > 0:
        # A few slices that are spread over the body cover more than a station, and show less.
        shown = {n: sizes[n] * fineness[n] for n in numbers}
        reasons = {n: reason for n, reason in reasons.items() if shown[n] < _SMALLER * max(shown.values())}
    return reasons


def _unfinished(acquisitions: Sequence[Acquisition], numbers: Sequence[int]) -> dict[int, str]:
    """Which scans have more slices without signal than the others, as a scan that was stopped; never all of them."""
    lit = {n: min(_lit_slices(station) for station in acquisitions[n].values()) for n in numbers}
    return {n: "has slices without signal" for n in numbers if lit[n] < _SMALLER * max(lit.values())}


def _lit_slices(station: Station) -> float:
    """The part of a station's slices that have signal."""
    means = np.moveaxis(station.voxels, station.slice_axis, 0).mean(axis=(1, 2))
    return float(np.mean(means > _EMPTY * means.max()))


def _misfit(acquisition: Mapping[Contrast, Station], *, opposed: bool = False) -> float:
    """How badly water and fat add up to the in-phase image, whatever their scales."""
    if len({station.voxels.shape for station in acquisition.values()}) > 1:
        return 1.0
    scales = contrast_scales({contrast: station.voxels for contrast, station in acquisition.items()})
    if scales is None or min(scales.water, scales.fat) <= 0:
        return 1.0
    return scales.opposed if opposed else scales.misfit


def _slice_spacing_mm(station: Station) -> float:
    return station.grid.spacing_mm[2 - station.slice_axis]


def _pixel_mm(station: Station) -> float:
    """Geometric mean of the two spacings within a slice."""
    spacing = station.grid.spacing_mm
    return float(np.sqrt(np.prod(spacing) / _slice_spacing_mm(station)))


def _is_enhanced(newer: Acquisition, older: Acquisition) -> bool:
    """Whether muscle became brighter from one scan of a place to the next, and fat did not."""
    images = [a[contrast].voxels for a in (newer, older) for contrast in (Contrast.WATER, Contrast.FAT)]
    if len({image.shape for image in images}) > 1:
        return False
    water, fat, water_before, fat_before = images
    bright = water_before + fat_before > _TISSUE_FRACTION * np.percentile(water_before + fat_before, 99)
    muscle = bright & (water > 2 * fat) & (water_before > 2 * fat_before)
    adipose = bright & (fat > 2 * water) & (fat_before > 2 * water_before)
    if min(np.count_nonzero(muscle), np.count_nonzero(adipose)) < _LEAST_SHARED:
        return False
    ratios = [
        float(np.median(new[at] / old[at]))
        for new, old, at in ((water, water_before, muscle), (fat, fat_before, adipose))
    ]
    return ratios[0] > _ENHANCED * ratios[1]


def _size_mm3(acquisition: Acquisition) -> float:
    box = extent_mm(acquisition[Contrast.IN].grid)
    return float(np.prod(box[1] - box[0]))


def _disagreement(acquisition: Acquisition, neighbours: Sequence[Acquisition]) -> float:
    """Mean over the neighbours that overlap; 0 when none does."""
    found = [d for neighbour in neighbours if (d := _apart(acquisition, neighbour)) is not None]
    return float(np.mean(found)) if found else 0.0


def _apart(one: Acquisition, other: Acquisition) -> float | None:
    if not (is_complete(one) and is_complete(other) and is_decoded(other)):
        return None
    grid = one[Contrast.IN].grid
    shared = shared_box((grid, other[Contrast.IN].grid), grid)
    if shared is None:
        return None
    signals = {
        contrast: [average_stations([[a[contrast].voxels]], [a[contrast].grid], shared)[0] for a in (one, other)]
        for contrast in (Contrast.IN, Contrast.WATER)
    }
    bright = [image > _TISSUE_FRACTION * np.percentile(image, 99) for image in signals[Contrast.IN]]
    tissue, outline = bright[0] & bright[1], bright[0] | bright[1]
    if np.count_nonzero(tissue) < _LEAST_SHARED:
        return None
    logs = []
    for first, second in signals.values():
        lit = tissue & (first > 0) & (second > 0)
        logs.append(abs(float(np.log(np.median(first[lit] / second[lit])))) if lit.any() else 1.0)
    # Also where one of them shows air: a body that has moved differs there most.
    first, second = (image[outline] for image in signals[Contrast.IN])
    return max(logs) + float(np.abs(first - second).mean() / ((first.mean() + second.mean()) / 2))
