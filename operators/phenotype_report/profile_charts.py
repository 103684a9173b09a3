"""Charts of muscle area and core fat along the femur, as SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.phenotypes import Side
from operators.phenotype_report.page_numbers import percent, volume
from operators.phenotype_report.thigh_profiles import GROUPS, Profile

__all__ = ["BOTTOM", "HEIGHT", "LEFT", "RIGHT", "TOP", "WIDTH", "Chart", "profile_charts"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 220.0, 116.0, 28.0, 214.0, 14.0, 98.0
"""Of the picture, and of the axes inside it."""
_FIRST, _LAST = 0.1, 0.9


@dataclass(frozen=True)
class Chart:
    """One chart: a group of muscles on both sides.

    Attributes
    ----------
    title, unit, alt : str
    lines : tuple of (side, str)
        Points of SVG polylines. A side has several where it has gaps.
    ticks : tuple of (float, str)
        Height in the picture and text of the marks.
    seams : tuple of float
        Places along the picture at which a station begins or ends.
    stations : tuple of (float, str)
        Places along the picture of the stations' numbers.
    """

    title: str
    unit: str
    alt: str
    lines: tuple[tuple[Side, str], ...]
    ticks: tuple[tuple[float, str], ...]
    seams: tuple[float, ...] = ()
    stations: tuple[tuple[float, str], ...] = ()


def profile_charts(
    profiles: Mapping[Side, Profile],
    stations: Sequence[Mapping[str, Any]],
    measured: Mapping[Side, frozenset[str]] | None = None,
) -> tuple[Chart, ...]:
    """Charts from 10 to 90% of the femur's length: areas, then fat if it was measured.

    Parameters
    ----------
    profiles : mapping of side to Profile
        Empty if no femur is in view from end to end; then there are no charts.
    stations : sequence of mapping
        The report's station table.
    measured : mapping of side to frozenset of str, optional
        The structures that have a volume on each side. A group is left out on a
        side where one of its muscles has none, because the rest is not its area.
        All by default.
    """
    if not profiles:
        return ()
    one = next(iter(profiles.values()))
    marks = _seams(one, stations), _numbers(one, stations)
    charts = []
    whole = {
        name: {side: p for side, p in profiles.items() if measured is None or measured[side] >= set(members)}
        for name, members in GROUPS.items()
    }
    for name in GROUPS:
        areas = {side: _within(profile, profile.areas_cm2[name]) for side, profile in whole[name].items()}
        if areas:
            charts.append(_chart(name, "cm²", areas, 1.0, marks))
    for name in GROUPS:
        fat = {side: _within(p, 100 * p.core_fat[name]) for side, p in whole[name].items() if name in p.core_fat}
        if any(np.isfinite(values).any() for _, values in fat.values()):
            charts.append(_chart(name, "% fat in core", fat, 10.0, marks))
    return tuple(charts)


def _chart(
    name: str,
    unit: str,
    shown: Mapping[Side, tuple[NDArray[np.float64], NDArray[np.float64]]],
    least: float,
    marks: tuple[tuple[float, ...], tuple[tuple[float, str], ...]],
) -> Chart:
    """``least``: the least value of the scale's upper end."""
    largest = max([least, *(float(np.nanmax(v)) for _, v in shown.values() if np.isfinite(v).any())])
    step = _step(largest)
    top = step * np.ceil(largest / step)
    lines = tuple(
        (side, " ".join(f"{_x(a):.1f},{_y(v / top):.1f}" for a, v in zip(at[part], values[part], strict=True)))
        for side, (at, values) in shown.items()
        for part in np.ma.clump_unmasked(np.ma.masked_invalid(values))
    )
    ticks = tuple((_y(mark / top), f"{mark:g}") for mark in np.arange(0, top + step / 2, step))
    means = []
    for side, (_, values) in shown.items():
        if np.isfinite(values).any():
            mean = float(np.nanmean(values))
            means.append(f"{side} {f'{volume(mean)} cm²' if unit == 'cm²' else percent(mean / 100)}")
    what = "area" if unit == "cm²" else "fat in core"
    alt = f"{name}: {what} from 10 to 90% of the femur; mean {', '.join(means)}"
    return Chart(name, unit, alt, lines, ticks, *marks)


def _seams(profile: Profile, stations: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    ends = sorted({float(station[key]) for station in stations for key in ("z_low_mm", "z_high_mm")})
    return tuple(_x(float(at)) for at in profile.fraction(np.array(ends)) if _FIRST < at < _LAST)


def _numbers(profile: Profile, stations: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, str], ...]:
    found = []
    for station in stations:
        ends = profile.fraction(np.array([float(station["z_low_mm"]), float(station["z_high_mm"])]))
        low, high = np.clip(np.sort(ends), _FIRST, _LAST)
        if high - low > 0.08:  # of the femur: a shorter piece has no room for its number
            found.append((_x(float(low + high) / 2), str(station["index"] + 1)))
    return tuple(found)


def _within(profile: Profile, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = profile.position
    inside = (at >= _FIRST) & (at <= _LAST)
    return at[inside], values[inside]


def _x(fraction: float) -> float:
    return round(LEFT + (fraction - _FIRST) / (_LAST - _FIRST) * (RIGHT - LEFT), 1)


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)


def _step(largest: float) -> float:
    """A round distance of marks, of which two to four fit."""
    rough = max(largest, 1e-6) / 3
    power = 10.0 ** np.floor(np.log10(rough))
    return float(power * next(n for n in (1, 2, 5, 10) if n * power >= rough))
