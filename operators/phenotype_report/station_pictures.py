"""Pictures of the stations: a diagram of where they lie, and close-ups of the seams between them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from operators.core.volume import Fused
from operators.phenotype_report.page_numbers import fixed
from operators.phenotype_report.pictures import display_order, display_spacing_mm, plane_axis

__all__ = ["Diagram", "Seam", "StationBox", "seam_pictures", "station_diagram"]

_WIDTH = 420.0
_MARGIN_MM = 40.0
"""Above and below the seam."""
_PIXEL_MM = 1.2
_QUALITY = 80


@dataclass(frozen=True)
class StationBox:
    """A station, or a flagged range, in the diagram: where it begins, how wide it is, in which row, and its texts."""

    x: float
    width: float
    row: int
    text: str
    detail: str

    @property
    def anchor(self) -> str:
        """The end at which the text of a flagged range is fixed: the one that leaves it more room."""
        return "start" if self.x + self.width / 2 < _WIDTH / 2 else "end"

    @property
    def text_x(self) -> float:
        """Where that end is."""
        return self.x if self.anchor == "start" else round(self.x + self.width, 1)


@dataclass(frozen=True)
class Diagram:
    """Stations along the body's long axis, superior on the left.

    Attributes
    ----------
    width : float
        Of the picture.
    stations, flagged : tuple of StationBox
    ticks : tuple of (float, str)
        Places of round values of z, and their texts.
    alt : str
    """

    width: float
    stations: tuple[StationBox, ...]
    flagged: tuple[StationBox, ...]
    ticks: tuple[tuple[float, str], ...]
    alt: str

    @property
    def height(self) -> int:
        """Of the picture: two rows of stations, the ticks, and a row for each flagged range with its text."""
        return 62 + (4 if self.flagged else 0) + 14 * len(self.flagged)


@dataclass(frozen=True)
class Seam:
    """A close-up: coronal slice of the water image around the overlap of two stations.

    Attributes
    ----------
    title, alt : str
    jpeg : bytes
    """

    title: str
    alt: str
    jpeg: bytes


def station_diagram(quality: Mapping[str, Any]) -> Diagram | None:
    """Where the stations lie, and where along the body flags point; None without stations.

    Parameters
    ----------
    quality : mapping
        Of the report.
    """
    stations: Sequence[Mapping[str, Any]] = quality["stations"]
    if not stations:
        return None
    low = min(float(s["z_low_mm"]) for s in stations)
    high = max(float(s["z_high_mm"]) for s in stations)
    scale = _WIDTH / max(high - low, 1.0)

    def box(ends: Sequence[float], row: int, text: str, detail: str) -> StationBox:
        bottom, top = (min(max(float(z), low), high) for z in sorted(ends))
        width = max(2.0, round((top - bottom) * scale, 1))
        return StationBox(round(min((high - top) * scale, _WIDTH - width), 1), width, row, text, detail)

    boxes = tuple(
        box(
            (s["z_low_mm"], s["z_high_mm"]),
            n % 2,
            str(s["index"] + 1),
            f"station {s['index'] + 1}: z {fixed(s['z_high_mm'], 0)} to {fixed(s['z_low_mm'], 0)} mm",
        )
        for n, s in enumerate(stations)
    )
    grave = [flag for flag in quality["flags"] if flag["severity"] != "info" and flag.get("z_mm")]
    flagged = tuple(box(flag["z_mm"], 2 + n, flag["code"], flag["message"]) for n, flag in enumerate(grave))
    step = 100.0 if high - low > 250 else 50.0
    marks = np.arange(np.ceil(low / step) * step, high + 1e-6, step)
    ticks = tuple((round((high - float(z)) * scale, 1), fixed(float(z), 0)) for z in marks[::-1])
    alt = f"Stations from superior to inferior: {'; '.join(one.detail for one in boxes)}"
    return Diagram(_WIDTH, boxes, flagged, ticks, alt)


def seam_pictures(fused: Fused, quality: Mapping[str, Any]) -> tuple[Seam, ...]:
    """A close-up of each overlap, in the coronal slice that shows most of the body; none if slices are not axial.

    Parameters
    ----------
    fused : Fused
    quality : mapping
        Of the report; gives the ranges of the stations and their overlaps.
    """
    if plane_axis(fused.grid, "axial") != 0:
        return ()
    stations = {s["index"]: s for s in quality["stations"]}
    water, body = (display_order(array, fused.grid) for array in (fused.water, fused.body))
    row = int(body.sum(axis=(0, 2)).argmax())
    signal, inside = np.asarray(water[:, row]), np.asarray(body[:, row])
    columns = np.flatnonzero(inside.any(axis=0))
    if not columns.size:
        return ()
    signal = signal[:, max(0, columns[0] - 3) : columns[-1] + 4]
    heights = _heights(fused)
    dz, _, dx = display_spacing_mm(fused.grid)
    seams = []
    for overlap in quality["overlaps"]:
        pair = [stations.get(overlap.get(end)) for end in ("upper", "lower")]
        if pair[0] is None or pair[1] is None:
            continue
        high, low = float(pair[1]["z_high_mm"]), float(pair[0]["z_low_mm"])
        chosen = np.flatnonzero((heights <= max(high, low) + _MARGIN_MM) & (heights >= min(high, low) - _MARGIN_MM))
        if chosen.size < 2:
            continue
        part = signal[chosen[0] : chosen[-1] + 1]
        at = [(heights[chosen[0]] - z) / dz for z in (high, low)]
        numbers = f"{pair[0]['index'] + 1} and {pair[1]['index'] + 1}"
        z = f"z {fixed(high, 0)} to {fixed(low, 0)} mm"
        alt = f"Coronal water image around the seam of stations {numbers}; marks at its sides show where they overlap"
        seams.append(Seam(f"Stations {numbers}, {z}", alt, _jpeg(part, at, dz, dx)))
    return tuple(seams)


def _heights(fused: Fused) -> NDArray[np.float64]:
    """LPS z of the slices in display order, superior first."""
    affine, (depth, rows, columns) = fused.grid.affine, fused.grid.shape
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2])
    z_mm = affine[2, :2] @ centre + affine[2, 2] * np.arange(depth) + affine[2, 3]
    return np.asarray(z_mm[::-1] if affine[2, 2] > 0 else z_mm)


def _jpeg(part: NDArray[Any], marks: Sequence[float], dz: float, dx: float) -> bytes:
    positive = part[part > 0]
    top = float(np.percentile(positive, 99.5)) if positive.size else 1.0
    grey = (255 * np.clip(part / top, 0, 1) ** 0.85).astype(np.uint8)
    size = (max(8, round(grey.shape[1] * dx / _PIXEL_MM)), max(8, round(grey.shape[0] * dz / _PIXEL_MM)))
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for mark in marks:
        y = round((mark + 0.5) * dz / _PIXEL_MM)
        for x in (0, size[0] - 12):
            draw.line([(x, y), (x + 12, y)], fill=255, width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
