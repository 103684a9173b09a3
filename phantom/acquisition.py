"""From tissue to images: simulate the scan of a synthetic participant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import GeometryError
from operators.core.volume import Contrast, Grid
from phantom.dixon_signal import AcquisitionOptions, decayed, rician, smooth_field
from phantom.station_geometry import StationGeometry

__all__ = ["StationImages", "TissueSignal", "acquire", "acquire_study", "axes", "linear_weights", "sample"]

_HIGHEST_STORED = 4095  # 12 bits stored, as the scanner's reconstruction does
_SLAB_STEP_MM = 0.5  # finer than any tissue grid in use


class TissueSignal(Protocol):
    """The part of `phantom.anatomy.Tissues` that an acquisition needs."""

    @property
    def grid(self) -> Grid: ...
    @property
    def water(self) -> NDArray[np.float32]: ...
    @property
    def fat(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class StationImages:
    """Images of one table position: four contrasts on one grid.

    Attributes
    ----------
    geometry : StationGeometry
    images : mapping of Contrast to ndarray, shape (z, y, x), uint16
        z runs inferior to superior, whatever the plane. Muscle in the water image is about 240.
    gain : float
        Receive gain of this station.
    shift_mm : tuple of float, (x, y, z)
        Displacement of the body in LPS.
    """

    geometry: StationGeometry
    images: Mapping[Contrast, NDArray[np.uint16]]
    gain: float
    shift_mm: tuple[float, float, float]


def acquire_study(
    tissues: TissueSignal,
    stations: Sequence[StationGeometry],
    options: AcquisitionOptions,
    seed: int,
    progress: Callable[[Sequence[StationGeometry]], Iterator[StationGeometry]] = iter,
) -> tuple[StationImages, ...]:
    """Scan all stations. Each has its own random stream, so that leaving one out does not change the others.

    Parameters
    ----------
    tissues : TissueSignal
    stations : sequence of StationGeometry, superior to inferior
    options : AcquisitionOptions
    seed : int
    progress : callable
        Wraps the sequence of stations to show a progress bar.
    """
    return tuple(
        acquire(tissues, station, options, np.random.default_rng([seed, round(station.lowest_edge_mm * 1000) + 10**9]))
        for station in progress(stations)
    )


def acquire(
    tissues: TissueSignal, station: StationGeometry, options: AcquisitionOptions, rng: np.random.Generator
) -> StationImages:
    """Scan one station.

    Water and fat are first averaged over the slice and interpolated in plane, so
    that partial volume cancels signal in the opposed-phase image at fat-muscle
    borders, as in a real scan.
    """
    gain = _gain(options, rng)
    shift_sd = np.array([options.shift_sd_mm] * 3)
    if station.breath_hold:
        shift_sd[1:] = np.hypot(shift_sd[1:], options.breathing_sd_mm)
    x, y, z = (float(mm) for mm in rng.standard_normal(3) * shift_sd)
    shift_mm = (x, y, z)

    water = sample(tissues.grid, tissues.water, station, shift_mm)
    fat = sample(tissues.grid, tissues.fat, station, shift_mm)
    if options.decay:
        water, fat, opposed = decayed(water, fat)
    else:
        opposed = np.abs(water - fat)
    sensitivity = smooth_field(*_unit_coordinates(station, *axes(station.grid)), options.bias_sd, rng)
    sensitivity *= np.float32(gain)

    sd = options.noise_sd
    half_sum_sd = sd / np.sqrt(2.0)  # water and fat are each half the sum or difference of the two echoes
    images = {
        Contrast.OPPOSED: _stored(rician(opposed * sensitivity, sd, rng)),
        Contrast.IN: _stored(rician((water + fat) * sensitivity, sd, rng)),
        Contrast.FAT: _stored(rician(fat * sensitivity, half_sum_sd, rng)),
        Contrast.WATER: _stored(rician(water * sensitivity, half_sum_sd, rng)),
    }
    return StationImages(station, images, gain, shift_mm)


def sample(
    grid: Grid, signal: NDArray[np.float32], station: StationGeometry, shift_mm: tuple[float, float, float] = (0, 0, 0)
) -> NDArray[np.float32]:
    """Sample a tissue signal at a station's voxels: mean over the slice thickness, linear in plane.

    Beside the grid there is air. Above and below it, the last slice of the body continues.

    Parameters
    ----------
    grid : Grid
        Axis-aligned grid of ``signal``.
    signal : ndarray, shape (z, y, x), float32
    station : StationGeometry
    shift_mm : tuple of float, (x, y, z)
        The body's displacement in LPS.

    Returns
    -------
    ndarray, shape (z, y, x) of the station, float32

    Raises
    ------
    GeometryError
        If ``grid`` is not aligned with the patient axes.
    """
    directions = grid.affine[:3, :3]
    if (np.abs(directions - np.diag(np.diag(directions))) > 1e-6).any() or (np.diag(directions) <= 0).any():
        raise GeometryError(
            "tissue grid", f"directions {directions.tolist()}", "axes along LPS", "Build the tissues with body_grid."
        )
    source_z, source_y, source_x = axes(grid)
    z, y, x = axes(station.grid)
    shift_x, shift_y, shift_z = shift_mm
    thick = {axis: station.slice_mm if axis == station.plane else 0.0 for axis in ("axial", "coronal", "sagittal")}
    weights_z = _slab_weights(source_z, z - shift_z, thick["axial"], clipped=True)
    weights_y = _slab_weights(source_y, y - shift_y, thick["coronal"])
    weights_x_t = np.ascontiguousarray(_slab_weights(source_x, x - shift_x, thick["sagittal"]).T)

    sampled = np.empty((z.size, y.size, x.size), np.float32)
    for k, row in enumerate(weights_z):
        (used,) = np.nonzero(row)
        low, high = used[0], used[-1] + 1
        slab = np.tensordot(row[low:high], signal[low:high], axes=1)
        np.matmul(weights_y @ slab, weights_x_t, out=sampled[k])
    return sampled


def _slab_weights(
    source: NDArray[np.float64], target: NDArray[np.float64], thickness_mm: float, *, clipped: bool = False
) -> NDArray[np.float32]:
    """`linear_weights`, averaged over a slab around each target; ``clipped`` continues the source's ends."""
    steps = max(1, round(thickness_mm / _SLAB_STEP_MM))
    within = ((np.arange(steps) + 0.5) / steps - 0.5) * thickness_mm
    slab = target[:, None] + within
    if clipped:
        slab = np.clip(slab, source[0], source[-1])
    if steps == 1:
        return linear_weights(source, slab[:, 0])
    return linear_weights(source, slab.ravel()).reshape(target.size, steps, -1).mean(axis=1)


def linear_weights(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float32]:
    """Matrix (target, source) of linear interpolation; it falls to zero within one spacing beyond the source."""
    step = source[1] - source[0]
    return np.maximum(0.0, 1.0 - np.abs(target[:, None] - source) / step).astype(np.float32)


def _stored(signal: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.clip(np.rint(signal), 0, _HIGHEST_STORED).astype(np.uint16)


def axes(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """LPS coordinates of an axis-aligned grid's voxel centres along (z, y, x), mm."""
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
    """Convert millimetres to the station's [-1, 1] along each axis."""
    low, high = station.z_edges_mm
    x_mm, y_mm, _ = station.spacing_mm
    _, rows, columns = station.shape
    return (
        (z - (low + high) / 2) / ((high - low) / 2),
        (y - station.centre_y_mm) / (rows * y_mm / 2),
        x / (columns * x_mm / 2),
    )
