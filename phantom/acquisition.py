"""From tissue to images: what the scanner sees of a synthetic participant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.volume import Grid
from phantom.dixon_signal import AcquisitionOptions, decayed, rician, smooth_field
from phantom.station_geometry import ARCHIVE_STATIONS, StationGeometry

__all__ = ["TissueSignal", "fused_like"]


class TissueSignal(Protocol):
    """What an acquisition needs of `phantom.anatomy.Tissues`."""

    @property
    def grid(self) -> Grid: ...
    @property
    def water(self) -> NDArray[np.float32]: ...
    @property
    def fat(self) -> NDArray[np.float32]: ...


def fused_like(
    tissues: TissueSignal,
    rng: np.random.Generator,
    options: AcquisitionOptions = AcquisitionOptions(),  # noqa: B008 - frozen
    stations: Sequence[StationGeometry] = ARCHIVE_STATIONS,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water and fat as they look after fusion, straight on the tissues' own grid: cheap training images.

    Each station contributes its gain and coil bias in its band of z, averaged
    with its neighbour's where they overlap; then Rician noise. There is no
    resampling and no motion, so labels on the same grid stay exact.

    Parameters
    ----------
    tissues : TissueSignal
        On any axis-aligned grid.
    rng : numpy Generator
    options : AcquisitionOptions
    stations : sequence of StationGeometry
        Whose bands of z to use; slices beyond all of them belong to the nearest.

    Returns
    -------
    water, fat : ndarray, shape (z, y, x), float32
    """
    water, fat = decayed(tissues.water, tissues.fat)[:2] if options.decay else (tissues.water, tissues.fat)
    z, y, x = _axes(tissues.grid)
    sensitivity = np.zeros(tissues.grid.shape, np.float32)
    bottom, top = min(s.z_edges_mm[0] for s in stations), max(s.z_edges_mm[1] for s in stations)
    height = np.clip(z, bottom, top)
    members = np.stack([(height >= s.z_edges_mm[0]) & (height <= s.z_edges_mm[1]) for s in stations])
    count = np.maximum(members.sum(axis=0), 1).astype(np.float32)
    for station, inside in zip(stations, members, strict=True):
        gain = _gain(options, rng)
        field_seed = rng.integers(2**63)  # drawn also for bands that are not on this grid: same seed, same bands
        if inside.any():
            unit = _unit_coordinates(station, z[inside], y, x)
            field = smooth_field(*unit, options.bias_sd, np.random.default_rng(field_seed))
            sensitivity[inside] += field * (np.float32(gain) / count[inside, None, None])
    # Two-point Dixon: water and fat are each half a sum of the two echoes, hence half their noise variance.
    noise_sd = options.noise_sd / np.sqrt(2.0)
    return rician(water * sensitivity, noise_sd, rng), rician(fat * sensitivity, noise_sd, rng)


def _axes(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """LPS coordinates of an axis-aligned grid along (z, y, x)."""
    z, y, x = (
        grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(size)
        for axis, size in zip((2, 1, 0), grid.shape, strict=True)
    )
    return z, y, x


def _gain(options: AcquisitionOptions, rng: np.random.Generator) -> float:
    return float(np.exp(options.gain_sd * rng.standard_normal()))


def _unit_coordinates(
    station: StationGeometry, z: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Millimetres to the station's own [-1, 1] along each axis."""
    low, high = station.z_edges_mm
    return (
        (z - (low + high) / 2) / ((high - low) / 2),
        (y - station.centre_y_mm) / (station.rows * station.in_plane_mm / 2),
        x / (station.columns * station.in_plane_mm / 2),
    )
