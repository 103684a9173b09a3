"""Resampling of stations onto a grid, on the CPU or on a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.core.cuda_driver import driver_sees_device
from operators.core.errors import UsageError
from operators.core.options import Device
from operators.core.volume import Grid
from operators.station_fusion.plan import plan_sampling
from operators.station_fusion.resample_cpu import average_on_cpu

__all__ = ["average_stations", "choose_device"]


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """The device to fuse on. ``auto`` takes CUDA if there is a device for it.

    Raises
    ------
    UsageError
        For ``cuda`` without a CUDA device or without numba-cuda, and for any other value.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError("device", f"{device!r}", "auto, cpu or cuda", "Choose one of the three.")
    if device == "cpu":
        return "cpu"
    reason = _cuda_missing()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise UsageError("device", reason, "a CUDA device", "Use --device auto or --device cpu.")
    return "cpu"


def average_stations(
    signals: Sequence[Sequence[NDArray[np.float32]]],
    station_grids: Sequence[Grid],
    grid: Grid,
    device: Literal["cpu", "cuda"] = "cpu",
    *,
    fades: Sequence[NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Sample stations onto a grid by trilinear interpolation and average them where they overlap (method, section 3).

    Parameters
    ----------
    signals : sequence of sequence of ndarray, shape (z, y, x)
        ``signals[station][contrast]``, with the same number of contrasts in each station (four on ``cuda``).
    station_grids : sequence of Grid
        One for each station; at least two voxels along each axis.
    grid : Grid
        Grid to sample onto.
    device : {"cpu", "cuda"}
    fades : sequence of ndarray, shape (z,), optional
        Positive weight of each slice of each station; all equal by default.

    Returns
    -------
    ndarray, shape (contrasts, z, y, x), float32
        0 where there is no station. In the outer half voxel of a station, its
        end voxel counts only if no other station covers that place; see
        `arithmetic`.

    Raises
    ------
    ValueError
        When a signal does not have the shape of its grid, or stations differ in their number of contrasts.
    """
    contiguous = [[np.ascontiguousarray(signal, dtype=np.float32) for signal in station] for station in signals]
    for station, station_grid in zip(contiguous, station_grids, strict=True):
        if len(station) != len(contiguous[0]):
            raise ValueError("stations differ in their number of contrasts")
        for signal in station:
            if signal.shape != station_grid.shape:
                raise ValueError(f"a signal of shape {signal.shape} on a grid of shape {station_grid.shape}")
    plan = plan_sampling(station_grids, grid, fades)
    if device == "cuda":
        from operators.station_fusion.resample_cuda import average_on_cuda  # needs numba-cuda

        return average_on_cuda(contiguous, plan)
    return average_on_cpu(contiguous, plan)


def _cuda_missing() -> str | None:
    """Why CUDA cannot be used, or None when it can."""
    numba_decides = {"NUMBA_CUDA_DRIVER", "NUMBA_ENABLE_CUDASIM"} & os.environ.keys()
    # The driver is checked first, because importing numba-cuda takes half a second and most machines have no GPU.
    if not numba_decides and not driver_sees_device():
        return "no CUDA device is available"
    try:
        from numba import cuda
    except ImportError:
        return "the package numba-cuda is not installed"
    return None if cuda.is_available() else "no CUDA device is available"
