"""Fusion on the GPU beside the CPU: the same volumes, and the time of its parts. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_setting import Row, Setting, turned
from operators.core.volume import Grid
from operators.station_fusion import average_stations, common_grid
from operators.station_fusion.device_choice import estimate
from operators.station_fusion.plan import plan_sampling
from phantom.station_geometry import archive_stations, coarser

__all__ = ["check_fusion"]

_SIGNAL = 400.0
_TOLERANCE = 1e-3  # of a signal of 400; measured on an H200: 6e-5, for turned stations 9e-5
Signals = list[list[NDArray[np.float32]]]


def check_fusion(setting: Setting) -> tuple[list[Row], dict[str, Any]]:
    """Compare and time the fusion of four stations, for whole numbers, fractions and turned stations."""
    from operators.station_fusion.resample_cuda import average_on_cuda

    stations = archive_stations(4)
    # The simulator of the CPU takes milliseconds for a voxel.
    grids = [station.grid for station in (coarser(stations, 40, 12) if setting.small else stations)]
    oblique = [turned(grid, angle) for grid, angle in zip(grids, (0.0, 2.0, -1.5, 3.0), strict=True)]
    rows, details = [], {}
    for name, here, whole in (
        ("int16", grids, True),
        ("float32", grids, False),
        ("turned", oblique, True),
    ):
        signals, grid = _noise(here, whole), common_grid(here)
        plan = plan_sampling(here, grid)
        block = {"block_shape": (4, 2, 1)} if setting.small else {}

        def on_device() -> NDArray[np.float32]:
            return average_on_cuda(signals, plan, device=setting.device, **block)  # noqa: B023 - called in this turn

        def on_cpu() -> NDArray[np.float32]:
            return average_stations(signals, here, grid, "cpu")  # noqa: B023

        difference = float(np.abs(on_device() - on_cpu()).max())
        rows.append(
            Row(
                f"fusion, {name}: equals the CPU's",
                f"max difference {difference:.1e}",
                f"signal up to {_SIGNAL:.0f}",
                f"{_TOLERANCE:g}",
                difference < _TOLERANCE,
                parity=True,
            )
        )
        gpu_s, cpu_s = setting.median(on_device, 10), setting.median(on_cpu, 10)
        expected = estimate(plan, 4, numba.get_num_threads(), first=False)
        details[name] = {
            "grid": grid.shape,
            "device_ms": 1e3 * gpu_s,
            "cpu_ms": 1e3 * cpu_s,
            "estimated_ms": {"device": 1e3 * expected.cuda, "cpu": 1e3 * expected.cpu},
            "max_difference": difference,
            **_parts(setting, signals, plan.shape),
        }
        aim = "12 ms" if name == "int16" else ""
        rows.append(
            Row(
                f"fusion, {name}: arrays to arrays",
                f"{1e3 * gpu_s:.1f} ms",
                f"CPU {1e3 * cpu_s:.1f} ms",
                aim,
                None if setting.small or not aim else gpu_s <= 0.012,
            )
        )
        right = (gpu_s < cpu_s) == (expected.cuda < expected.cpu)
        rows.append(
            Row(
                f"fusion, {name}: auto would take",
                "the GPU" if expected.cuda < expected.cpu else "the CPU",
                f"expected {1e3 * expected.cuda:.1f} and {1e3 * expected.cpu:.1f} ms",
                "the faster one",
                None if setting.small else right,
            )
        )
    return rows, details


def _noise(grids: Sequence[Grid], whole: bool) -> Signals:
    random = np.random.default_rng(0)
    made = [[random.uniform(0, _SIGNAL, grid.shape).astype(np.float32) for _ in range(4)] for grid in grids]
    return [[np.round(signal) for signal in station] for station in made] if whole else made


def _parts(setting: Setting, signals: Signals, shape: tuple[int, int, int]) -> dict[str, float]:
    """Milliseconds of packing and upload, and of the download; the kernel is what is left of the whole."""
    from operators.station_fusion import resample_cuda

    out = torch.zeros((4, *shape), device=setting.device)
    up = setting.median(lambda: resample_cuda._uploaded(signals, setting.device), 3)
    down = setting.median(lambda: resample_cuda._downloaded(out), 3)
    return {"pack_and_upload_ms": 1e3 * up, "download_ms": 1e3 * down}
