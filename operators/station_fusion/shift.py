"""The displacement of the body in one station relative to its neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["Shift", "residual_shift"]

_LARGEST_MM = 40.0
"""Beyond this, correlation would match one leg with the other."""

_BLUR_MM = 3.0
"""Width of the edges that are matched. Smoother structure is coil bias, and finer structure is noise."""


@dataclass(frozen=True)
class Shift:
    """Displacement that aligns two images of the same part of the body.

    Attributes
    ----------
    mm : tuple of float, (x, y, z)
        Position of the body in the second image relative to the first, along the grid's axes.
    correlation : float
        Normalised cross-correlation of edges at that displacement, at most 1. Below about 0.5 it is not reliable.
    correlation_at_rest : float
        The same correlation without displacement.
    """

    mm: tuple[float, float, float]
    correlation: float
    correlation_at_rest: float

    @property
    def length_mm(self) -> float:
        """Length of the displacement."""
        return float(np.linalg.norm(self.mm))


def residual_shift(
    first: NDArray[np.float32], second: NDArray[np.float32], spacing_mm: tuple[float, float, float]
) -> Shift | None:
    """Displacement between two images by cross-correlation of their edges, with parabolic sub-voxel peaks.

    In plane, the correlation is computed from Fourier coefficients (so it is
    circular), band-passed so that neither gain nor coil bias moves the peak.
    Along z, where an overlap is only a few slices high, every whole-slice
    displacement is tried over the slices that remain.

    Parameters
    ----------
    first, second : ndarray, shape (z, y, x), float32
        On the same grid.
    spacing_mm : tuple of float, (x, y, z)

    Returns
    -------
    Shift or None
        None when either image has no edges.
    """
    depth, rows, columns = first.shape
    x_mm, y_mm, z_mm = spacing_mm
    fast = fft.next_fast_len(rows, True), fft.next_fast_len(columns, True)
    along_y = fft.fftfreq(fast[0], y_mm)[:, None]
    along_x = fft.rfftfreq(fast[1], x_mm)[None]
    squared = (2 * np.pi) ** 2 * (along_x**2 + along_y**2)
    band = (np.sqrt(squared) * np.exp(-squared * _BLUR_MM**2 / 2)).astype(np.float32)
    spectra = [fft.rfft2(image, fast) * band for image in (first, second)]
    # The half spectrum holds one of each pair of conjugate coefficients; only those at its two ends have no partner.
    twice = np.full(along_x.shape, 2.0)
    twice[0, 0] = 1.0
    if fast[1] % 2 == 0:
        twice[0, -1] = 1.0
    energies = [(np.abs(spectrum) ** 2 * twice).sum(axis=(1, 2), dtype=np.float64) for spectrum in spectra]
    if min(energy.sum() for energy in energies) <= 0:
        return None
    reach = min(int(_LARGEST_MM / z_mm), depth // 2)
    correlations = []
    for step in range(-reach, reach + 1):
        a, b = slice(max(0, -step), depth - max(0, step)), slice(max(0, step), depth + min(0, step))
        product = fft.irfft2(np.einsum("kyx,kyx->yx", spectra[0][a].conj(), spectra[1][b]), fast)
        energy = np.sqrt(energies[0][a].sum() * energies[1][b].sum()) / (fast[0] * fast[1])
        correlations.append(product / energy if energy > 0 else np.zeros_like(product))
    table = np.stack(correlations)
    near_y, near_x = (min(int(_LARGEST_MM / mm), size // 2 - 1) for mm, size in ((y_mm, fast[0]), (x_mm, fast[1])))
    near_y, near_x = max(near_y, 0), max(near_x, 0)
    # The correlation is circular, so negative displacements are at the end.
    table = np.roll(table, (near_y, near_x), axis=(1, 2))[:, : 2 * near_y + 1, : 2 * near_x + 1]
    k, j, i = (int(n) for n in np.unravel_index(int(table.argmax()), table.shape))
    return Shift(
        mm=(
            (_peak(table[k, j], i) - near_x) * x_mm,
            (_peak(table[k, :, i], j) - near_y) * y_mm,
            (_peak(table[:, j, i], k) - reach) * z_mm,
        ),
        correlation=float(table[k, j, i]),
        correlation_at_rest=float(table[reach, near_y, near_x]),
    )


def _peak(line: NDArray[np.float32], at: int) -> float:
    """Vertex of the parabola through the maximum and its neighbours."""
    if not 0 < at < line.size - 1:
        return float(at)
    left, centre, right = (float(value) for value in line[at - 1 : at + 2])
    curvature = left - 2 * centre + right
    return at + (0.5 * (left - right) / curvature if curvature < 0 else 0.0)
