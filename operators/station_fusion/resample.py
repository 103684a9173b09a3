"""Resampling of stations onto a grid, on the CPU or on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from operators.core.device_copies import copy_of, remember
from operators.core.options import Device
from operators.core.volume import Grid
from operators.station_fusion.device_choice import choose_device, faster_device
from operators.station_fusion.plan import SamplingPlan, plan_sampling
from operators.station_fusion.resample_cpu import average_on_cpu

__all__ = ["average_stations", "average_where_faster", "choose_device"]


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
    contiguous, plan = _planned(signals, station_grids, grid, fades)
    if device == "cuda":
        return _on_cuda(contiguous, plan)
    return average_on_cpu(contiguous, plan)


def average_where_faster(
    signals: Sequence[Sequence[NDArray[np.float32]]],
    station_grids: Sequence[Grid],
    grid: Grid,
    device: Device,
    *,
    fades: Sequence[NDArray[np.float32]] | None = None,
) -> tuple[list[NDArray[np.float32]], str]:
    """Like `average_stations`, on the device that is expected to be faster for this study where ``auto`` allows both.

    Parameters
    ----------
    signals, station_grids, grid, fades
        See `average_stations`.
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    volumes : list of ndarray, shape (z, y, x), float32
        One for each contrast.
    engine : str
        What resampled the stations, for the report.

    Raises
    ------
    UsageError
        See `choose_device`.
    """
    allowed = choose_device(device)
    contiguous, plan = _planned(signals, station_grids, grid, fades)
    engine = f"cpu, numba {version('numba')}"
    if allowed == "cuda" and (
        device == "cuda" or faster_device(plan, len(contiguous[0]), numba.get_num_threads()) == "cuda"
    ):
        try:
            return _volumes(_on_cuda(contiguous, plan)), _cuda_engine()
        except Exception as error:  # of a driver, a compiler or too little memory
            if device == "cuda":
                raise
            engine += f" (CUDA failed: {type(error).__name__})"
    return _volumes(average_on_cpu(contiguous, plan)), engine


def _planned(
    signals: Sequence[Sequence[NDArray[np.float32]]],
    station_grids: Sequence[Grid],
    grid: Grid,
    fades: Sequence[NDArray[np.float32]] | None,
) -> tuple[list[list[NDArray[np.float32]]], SamplingPlan]:
    contiguous = [[np.ascontiguousarray(signal, dtype=np.float32) for signal in station] for station in signals]
    for station, station_grid in zip(contiguous, station_grids, strict=True):
        if len(station) != len(contiguous[0]):
            raise ValueError("stations differ in their number of contrasts")
        for signal in station:
            if signal.shape != station_grid.shape:
                raise ValueError(f"a signal of shape {signal.shape} on a grid of shape {station_grid.shape}")
    return contiguous, plan_sampling(station_grids, grid, fades)


def _on_cuda(signals: Sequence[Sequence[NDArray[np.float32]]], plan: SamplingPlan) -> NDArray[np.float32]:
    from operators.station_fusion.resample_cuda import average_on_cuda  # needs numba-cuda

    return average_on_cuda(signals, plan)


def _volumes(averaged: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The volumes of the contrasts, each with its part of the copy that is still on the GPU, if there is one."""
    volumes = list(averaged)
    copy = copy_of(averaged)
    if copy is not None:
        for volume, part in zip(volumes, copy, strict=True):
            remember(volume, part)
    return volumes


def _cuda_engine() -> str:
    import torch

    return f"cuda, {torch.cuda.get_device_name()}, numba-cuda {version('numba-cuda')}"
