"""The physics of a two-point Dixon image: echoes, coils and noise.

Plain functions on arrays, independent of voxel positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import UsageError

__all__ = [
    "ECHO_TIME_IN_MS",
    "ECHO_TIME_OPPOSED_MS",
    "AcquisitionOptions",
    "decayed",
    "rician",
    "smooth_field",
]

# At 1.5 T, water and fat differ by about 215 Hz: opposed at odd multiples of 2.3 ms, in phase at even ones.
# The paper prints the two the other way round (method, section 2); we follow the physics.
ECHO_TIME_OPPOSED_MS = 2.39
ECHO_TIME_IN_MS = 4.77

# R2* at 1.5 T: T2* of skeletal muscle is about 30 ms. Subcutaneous fat decays faster, because its spectrum has
# several peaks.
_R2_STAR_WATER_PER_S = 32.0
_R2_STAR_FAT_PER_S = 55.0


@dataclass(frozen=True)
class AcquisitionOptions:
    """Imperfections of the scan. With all of them zero, the signal is exact.

    Attributes
    ----------
    noise_sd : float
        Standard deviation of the complex noise in the in-phase image, signal units; muscle is about 240,
        so 7.5 is a signal-to-noise ratio of 32.
    bias_sd : float
        Standard deviation of each low-order term of the coil bias, as a fraction.
    gain_sd : float
        Standard deviation of the station gain, as a fraction.
    shift_sd_mm : float
        Standard deviation of the body's displacement between stations, along each axis.
    breathing_sd_mm : float
        Standard deviation of an additional displacement along y and z in breath-hold stations.
    decay : bool
        Whether T2* decay is applied.
    """

    noise_sd: float = 7.5
    bias_sd: float = 0.05
    gain_sd: float = 0.03
    shift_sd_mm: float = 0.5
    breathing_sd_mm: float = 1.0
    decay: bool = True

    def __post_init__(self) -> None:
        for name in ("noise_sd", "bias_sd", "gain_sd", "shift_sd_mm", "breathing_sd_mm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise UsageError(f"option {name}", str(value), "a finite number, 0 or more", "Use 0 to switch it off.")

    @classmethod
    def exact(cls, *, decay: bool = False) -> AcquisitionOptions:
        """No noise, bias, gain difference or motion."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, decay)


def decayed(
    water: NDArray[np.float32], fat: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Water and fat signal at the in-phase echo, and opposed-phase signal at its own echo.

    The scanner's water and fat images sum to the in-phase image, so that
    in = W + F holds between the images. The opposed-phase image is acquired
    earlier and has lost less to T2* than ``|W - F|`` of those two.

    Parameters
    ----------
    water, fat : ndarray, any shape, float32
        Proton signal before decay.

    Returns
    -------
    water, fat, opposed : ndarray, float32
    """
    total = water + fat
    # One R2* per voxel, because water and fat are in the same field.
    fraction = np.divide(fat, total, out=np.zeros_like(total), where=total > 0)
    rate = np.float32(_R2_STAR_WATER_PER_S) + np.float32(_R2_STAR_FAT_PER_S - _R2_STAR_WATER_PER_S) * fraction
    at_opposed = np.exp(rate * np.float32(-ECHO_TIME_OPPOSED_MS / 1000))
    at_in = np.exp(rate * np.float32(-ECHO_TIME_IN_MS / 1000))
    return water * at_in, fat * at_in, np.abs(water - fat) * at_opposed


def smooth_field(
    z: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    sd: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """A smooth, positive random field around 1: the coil's sensitivity that remains after correction.

    The logarithm is a polynomial of degree two in each coordinate.

    Parameters
    ----------
    z, y, x : ndarray, 1-D
        Coordinates in [-1, 1] over the station. They are clipped beyond that, so that the field stays bounded.
    sd : float
        Standard deviation of each coefficient.
    rng : numpy Generator

    Returns
    -------
    ndarray, shape (z, y, x), float32
    """
    coefficients = rng.normal(0.0, 1.0, (3, 3, 3)) * sd
    coefficients[0, 0, 0] = 0.0  # the station's gain, which is drawn elsewhere
    # High mixed orders do not occur in body-coil-normalised images.
    order = np.add.outer(np.add.outer(np.arange(3), np.arange(3)), np.arange(3))
    coefficients *= np.where(order <= 2, 1.0, 0.0)
    if not coefficients.any():
        return np.ones((z.size, y.size, x.size), np.float32)
    pz, py, px = (np.polynomial.legendre.legvander(np.clip(axis, -1, 1), 2) for axis in (z, y, x))
    in_plane = np.einsum("abc,yb,xc->ayx", coefficients, py, px, optimize=True)
    log_field = pz.astype(np.float32) @ in_plane.reshape(3, -1).astype(np.float32)
    return np.exp(log_field, out=log_field).reshape(z.size, y.size, x.size)


def rician(signal: NDArray[np.float32], sd: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Magnitude of ``signal`` plus complex Gaussian noise of standard deviation ``sd`` per channel.

    Returns
    -------
    ndarray, shape and type of ``signal``; equal to ``signal`` if ``sd`` is 0.
    """
    if sd == 0:
        return signal
    scale = np.float32(sd)
    real = rng.standard_normal(signal.shape, np.float32)
    real *= scale
    real += signal
    real *= real
    imaginary = rng.standard_normal(signal.shape, np.float32)
    imaginary *= scale
    imaginary *= imaginary
    real += imaginary
    return np.sqrt(real, out=real)
