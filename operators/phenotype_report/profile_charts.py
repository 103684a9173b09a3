"""Charts of muscle area along the femur, as SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.core.phenotypes import Side
from operators.phenotype_report.page_numbers import volume
from operators.phenotype_report.thigh_profiles import GROUPS, Profile

__all__ = ["Chart", "profile_charts"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 300.0, 150.0, 34.0, 26.0, 8.0
_FIRST, _LAST = 0.1, 0.9


@dataclass(frozen=True)
class Chart:
    """One chart: a group of muscles on both sides.

    Attributes
    ----------
    title, alt : str
    lines : mapping of side to str
        Points of an SVG polyline.
    ticks : tuple of (float, str)
        Height in the picture and text of marks of area.
    seams : tuple of float
        Places along the picture at which a station begins or ends.
    """

    title: str
    alt: str
    lines: Mapping[Side, str]
    ticks: tuple[tuple[float, str], ...]
    seams: tuple[float, ...]


def profile_charts(profiles: Mapping[Side, Profile], stations: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """Charts from 10 to 90% of the femur's length; none if no femur is in view from end to end.

    Parameters
    ----------
    profiles : mapping of side to Profile
    stations : sequence of mapping
        The report's station table.
    """
    if not profiles:
        return ()
    one = next(iter(profiles.values()))
    ends = {float(station[key]) for station in stations for key in ("z_low_mm", "z_high_mm")}
    seams = tuple(_x(at) for at in sorted(map(float, one.fraction(np.array(sorted(ends))))) if _FIRST < at < _LAST)
    charts = []
    for name in GROUPS:
        shown = {side: _within(profile, name) for side, profile in profiles.items()}
        largest = max(float(area.max()) for _, area in shown.values() if area.size)
        step = _step(largest)
        top = step * np.ceil(largest / step) if largest else 1.0
        lines = {
            side: " ".join(f"{_x(at):.1f},{_y(cm2 / top):.1f}" for at, cm2 in zip(*found, strict=True))
            for side, found in shown.items()
        }
        ticks = tuple((_y(mark / top), f"{mark:g}") for mark in np.arange(0, top + step / 2, step))
        means = ", ".join(f"{side} {volume(float(area.mean()))} cm²" for side, (_, area) in shown.items() if area.size)
        charts.append(Chart(name, f"{name}: area from 10 to 90% of the femur; mean {means}", lines, ticks, seams))
    return tuple(charts)


def _within(profile: Profile, name: str) -> tuple[Any, Any]:
    at = profile.position
    inside = (at >= _FIRST) & (at <= _LAST)
    return at[inside], profile.areas_cm2[name][inside]


def _x(fraction: float) -> float:
    return round(_LEFT + (fraction - _FIRST) / (_LAST - _FIRST) * (_WIDTH - _LEFT - 6), 1)


def _y(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP), 1)


def _step(largest: float) -> float:
    """A round distance of marks, of which two to four fit."""
    rough = max(largest, 1e-6) / 3
    power = 10.0 ** np.floor(np.log10(rough))
    return float(power * next(n for n in (1, 2, 5, 10) if n * power >= rough))
