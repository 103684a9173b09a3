"""Whether the four contrasts of a station have one scale: in-phase signal is water plus fat, opposed their difference.

Some scanners store each contrast with a scale of its own (Philips: private
scale slope), and the fat fraction is wrong where it was not undone. The images
tell: the factors that turn water and fat into the in-phase image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Contrast, QualityFlag, Station

if TYPE_CHECKING:
    from operators.station_fusion.positions import TablePosition

__all__ = ["ContrastScales", "contrast_scales", "on_one_scale", "stated_factors"]

_TISSUE_FRACTION = 0.1
"""Of the bright in-phase signal (99th percentile); darker voxels are air, bone or noise."""

_SAMPLED = 60_000
"""Voxels of a station; enough for two factors."""

_LEAST_SLICE = 200
"""Voxels with tissue in a slice that gets factors of its own."""

_LEAST_DETERMINANT = 0.1
"""Of the normal equations, 1 where water and fat never share a voxel; below it two factors cannot be told apart."""

_SAME = 0.15
"""Largest deviation of a ratio of scales from 1. T2* and coils make some per cent."""

_CERTAINLY_SAME = 0.07
"""Deviation from which on the study says so, although it is not corrected."""

_MISFIT = 0.12
"""Largest mean misfit, of the mean in-phase signal. Noise makes about 0.02."""

_OPPOSED_WORSE = 1.1

_STATED_SAME = 0.02
"""Largest deviation from 1 of a ratio of stated scales that is nothing to correct."""

_CLEARLY, _MORE_MISFIT = 0.5, 0.005
"""Stated factors must halve the ratio of scales that the images show, and may add this much misfit."""


@dataclass(frozen=True)
class ContrastScales:
    """What in-phase signal says about water and fat.

    Attributes
    ----------
    water, fat : float
        Factors with which water and fat add up to the in-phase image best.
    misfit : float
        Mean absolute difference that remains, as a fraction of the mean in-phase signal.
    opposed_as_is, opposed : float
        The same for the opposed-phase image and the difference of water and
        fat up to one factor, without and with the factors.
    """

    water: float
    fat: float
    misfit: float
    opposed_as_is: float
    opposed: float

    @property
    def alike(self) -> bool:
        """Whether water and fat have the same scale, so that the fat fraction is right."""
        return self.water > 0 and abs(np.log(max(self.fat, 1e-9) / self.water)) <= np.log1p(_SAME)

    @property
    def explained(self) -> bool:
        """Whether the two factors, and nothing else, separate the images."""
        fits = min(self.water, self.fat) > 0 and self.misfit <= _MISFIT
        return fits and (self.alike or self.opposed <= _OPPOSED_WORSE * self.opposed_as_is)


def contrast_scales(signals: Mapping[Contrast, NDArray[np.float32]]) -> ContrastScales | None:
    """Fit the in-phase image as a sum of water and fat.

    Parameters
    ----------
    signals : mapping of Contrast to ndarray, of one shape
        In-phase, water, fat and, if there is one, opposed-phase.

    Returns
    -------
    ContrastScales or None
        None where there is no tissue, or water and fat are too alike to tell their factors apart.
    """
    in_phase, water, fat = (signals[c].ravel() for c in (Contrast.IN, Contrast.WATER, Contrast.FAT))
    step = max(1, in_phase.size // (4 * _SAMPLED)) | 1  # an odd step, so that columns are not favoured
    chosen = slice(None, None, step)
    bright = in_phase[chosen] > max(0.0, _TISSUE_FRACTION * float(np.percentile(in_phase[chosen], 99)))
    if np.count_nonzero(bright) < _LEAST_SLICE / 2:
        return None
    i, w, f = (np.asarray(image[chosen][bright], dtype=np.float64) for image in (in_phase, water, fat))
    ww, ff, wf = w @ w, f @ f, w @ f
    determinant = ww * ff - wf * wf
    if determinant < _LEAST_DETERMINANT * ww * ff or determinant <= 0:
        return None
    a, b = (ff * (w @ i) - wf * (f @ i)) / determinant, (ww * (f @ i) - wf * (w @ i)) / determinant
    misfit = float(np.abs(i - a * w - b * f).mean() / i.mean())
    opposed_as_is = opposed = 0.0
    if Contrast.OPPOSED in signals:
        o = np.asarray(signals[Contrast.OPPOSED].ravel()[chosen][bright], dtype=np.float64)
        opposed_as_is, opposed = _opposed_misfit(o, w - f), _opposed_misfit(o, a * w - b * f)
    return ContrastScales(float(a), float(b), misfit, opposed_as_is, opposed)


def on_one_scale(
    positions: Sequence[TablePosition],
) -> tuple[tuple[TablePosition, ...], tuple[QualityFlag, ...]]:
    """Bring water and fat to the scale of the in-phase image where their scales differ.

    Parameters
    ----------
    positions : sequence of TablePosition

    Returns
    -------
    positions : tuple of TablePosition
        As they were where the contrasts have one scale.
    flags : tuple of QualityFlag
        ``water-fat-rescaled`` (warning) for stations in which one factor for
        each of the two (of the station or of each slice) was enough;
        ``water-fat-mismatch`` (warning) for those in which nothing was: then
        figures of fat cannot be given; ``water-fat-scale-doubtful`` (warning) for
        those whose scales differ by less than can be told from natural causes.
    """
    scales = [_scales_of(position) for position in positions]
    common = _common_scale(scales)
    changed, flags = list(positions), []
    for number, (position, scale) in enumerate(zip(positions, scales, strict=True)):
        stated = stated_factors(position.stations)
        if scale is None:
            # No image tells, so what the header states is all that is known.
            if stated is not None and not _alike(*stated):
                changed[number] = _multiplied(position, *stated)
                flags.append(QualityFlag("water-fat-rescaled", "warning", _by_header(position, stated)))
            continue
        if _as_it_should_be(scale, common):
            if stated is not None and _nearer(position, stated, scale):
                changed[number] = _multiplied(position, *stated)
                flags.append(QualityFlag("water-fat-rescaled", "warning", _by_header(position, stated)))
            elif _apart(scale) > np.log1p(_CERTAINLY_SAME):
                message = (
                    f"In the station of {position.name} the scale of fat departs from that of water by "
                    f"{np.expm1(_apart(scale)):.0%}, as the in-phase image shows. This may be natural (T2*), so it was "
                    "not corrected; fat fractions may be wrong by as much."
                )
                flags.append(QualityFlag("water-fat-scale-doubtful", "warning", message))
            continue
        corrected, factors = _corrected(position, scale, common)
        if corrected is None and stated is not None and _fits(position, stated, common):
            changed[number] = _multiplied(position, *stated)
            flags.append(QualityFlag("water-fat-rescaled", "warning", _by_header(position, stated)))
            continue
        if corrected is None:
            message = (
                f"In the station of {position.name} water and fat do not add up to the in-phase image "
                f"(misfit {scale.misfit:.0%}): no fat fraction can be given."
            )
            flags.append(QualityFlag("water-fat-mismatch", "warning", message))
            continue
        changed[number] = corrected
        message = (
            f"In the station of {position.name} water and fat are not on the scale of the in-phase image; they were "
            f"multiplied by {factors}.{_beside(stated)}"
        )
        flags.append(QualityFlag("water-fat-rescaled", "warning", message))
    return tuple(changed), tuple(flags)


def _scales_of(position: TablePosition) -> ContrastScales | None:
    """None where there is no in-phase image; a stand-in would tell nothing, since it was made of water and fat."""
    if position.stations[Contrast.IN].stand_in:
        return None
    return contrast_scales({c: station.voxels for c, station in position.stations.items() if not station.stand_in})


def stated_factors(stations: Mapping[Contrast, Station]) -> tuple[float, float] | None:
    """Factors that bring water and fat to the scale of the in-phase image, as Philips' scale slopes state them.

    Signal is displayed value / (Rescale Slope x Scale Slope (2005,100E)); dcm2niix, Philips/README.md.
    None where a header states none.
    """
    scales = [stations[contrast].private_scale for contrast in (Contrast.IN, Contrast.WATER, Contrast.FAT)]
    in_phase, water, fat = scales
    if in_phase is None or water is None or fat is None:
        return None
    return in_phase / water, in_phase / fat


def _alike(*factors: float) -> bool:
    return all(abs(np.log(factor)) <= np.log1p(_SAME) for factor in factors)


def _fits(position: TablePosition, stated: tuple[float, float], common: float) -> bool:
    scale = _scales_of(_multiplied(position, *stated))
    return scale is not None and _as_it_should_be(scale, common)


def _nearer(position: TablePosition, stated: tuple[float, float], scale: ContrastScales) -> bool:
    """Whether stated factors make water and fat more alike, where their difference is too small to tell by itself."""
    if abs(np.log(stated[1] / stated[0])) <= np.log1p(_STATED_SAME):
        return False
    after = _scales_of(_multiplied(position, *stated))
    if after is None or not after.explained:
        return False
    return _apart(after) < _CLEARLY * _apart(scale) and after.misfit <= scale.misfit + _MORE_MISFIT


def _apart(scale: ContrastScales) -> float:
    return abs(float(np.log(scale.fat / scale.water)))


def _by_header(position: TablePosition, stated: tuple[float, float]) -> str:
    return (
        f"In the station of {position.name} water and fat were multiplied by {stated[0]:.3g} and {stated[1]:.3g}, as "
        "the private scale slopes (2005,100E) state."
    )


def _beside(stated: tuple[float, float] | None) -> str:
    """What the headers state beside factors that the images told."""
    if stated is None:
        return ""
    return f" The private scale slopes (2005,100E) state {stated[0]:.3g} and {stated[1]:.3g}; the images decided."


def _common_scale(scales: Sequence[ContrastScales | None]) -> float:
    """Water's factor in the stations that are right; a factor that all share is nothing to correct."""
    right = [scale.water for scale in scales if scale is not None and scale.alike and scale.explained]
    return float(np.median(right)) if right else 1.0


def _as_it_should_be(scale: ContrastScales, common: float) -> bool:
    return scale.alike and scale.explained and abs(np.log(scale.water / common)) <= np.log1p(2 * _SAME)


def _corrected(position: TablePosition, scale: ContrastScales, common: float) -> tuple[TablePosition | None, str]:
    """Water and fat with one factor each or, where the scale differs between slices, with factors of every slice."""
    by_slice = _by_slice(position, common)
    if scale.explained and (by_slice is None or not any(map(_varies, by_slice))):
        water, fat = scale.water / common, scale.fat / common
        return _multiplied(position, water, fat), f"{water:.3g} and {fat:.3g}"
    if by_slice is None:
        return None, ""
    axis = position.stations[Contrast.IN].slice_axis
    others = tuple(other for other in range(3) if other != axis)
    ranges = " and ".join(f"{factors.min():.3g} to {factors.max():.3g}" for factors in by_slice)
    water_by_slice, fat_by_slice = (np.expand_dims(factors, others) for factors in by_slice)
    return _multiplied(position, water_by_slice, fat_by_slice), f"{ranges}, slice by slice"


def _by_slice(position: TablePosition, common: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Factors of water and of fat for every slice; None where too few slices tell them."""
    axis = position.stations[Contrast.IN].slice_axis
    there = {c: station.voxels for c, station in position.stations.items() if not station.stand_in}
    slices = [contrast_scales({c: np.take(v, k, axis) for c, v in there.items()}) for k in range(_count(position))]
    known = [s for s in slices if s is not None]
    if len(known) < 0.8 * len(slices) or sum(s.explained for s in known) < 0.9 * len(known):
        return None
    at = [k for k, s in enumerate(slices) if s is not None and s.explained]
    every = np.arange(len(slices))
    water, fat = (np.interp(every, at, [getattr(slices[k], name) / common for k in at]) for name in ("water", "fat"))
    return water, fat


def _count(position: TablePosition) -> int:
    return position.grid.shape[position.stations[Contrast.IN].slice_axis]


def _varies(factors: NDArray[np.float64]) -> bool:
    low, high = np.percentile(factors, [10, 90])
    return bool(high > (1 + _SAME) * low)


def _multiplied(position: TablePosition, water: float | NDArray, fat: float | NDArray) -> TablePosition:
    factors = {Contrast.WATER: np.float32(water), Contrast.FAT: np.float32(fat)}
    stations = {
        contrast: replace(station, voxels=station.voxels * factors[contrast]) if contrast in factors else station
        for contrast, station in position.stations.items()
    }
    return replace(position, stations=stations)


def _opposed_misfit(opposed: NDArray[np.float64], difference: NDArray[np.float64]) -> float:
    expected = np.abs(difference)
    if not expected.any() or opposed.mean() <= 0:
        return 1.0
    factor = (expected @ opposed) / (expected @ expected)
    return float(np.abs(opposed - factor * expected).mean() / opposed.mean())
