"""Fusion on the GPU beside the CPU: the same volumes, and the time of its parts. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_setting import Part, Row, Setting, turned
from operators.core.page_locked import page_locked
from operators.core.volume import Grid
from operators.station_fusion import average_stations, common_grid
from operators.station_fusion.device_choice import Estimate, estimate
from operators.station_fusion.pack import looks_whole, pack, pack_whole
from operators.station_fusion.plan import SamplingPlan, plan_sampling
from phantom.station_geometry import archive_stations, coarser

__all__ = ["check_fusion", "noise_stations", "took_the_faster"]

_SIGNAL = 400.0
_TOLERANCE = 1e-3  # of a signal of 400; measured on an H200: 6e-5, for turned stations 9e-5
_ALIKE = 1.15  # times of repeated runs differ by as much
Signals = list[list[NDArray[np.float32]]]


def check_fusion(setting: Setting, part: Part) -> None:
    """Compare and time the fusion of four stations, for whole numbers, fractions and turned stations."""
    stations = archive_stations(4)
    # The simulator of the CPU takes milliseconds for a voxel.
    grids = [station.grid for station in (coarser(stations, 40, 12) if setting.small else stations)]
    oblique = [turned(grid, angle) for grid, angle in zip(grids, (0.0, 2.0, -1.5, 3.0), strict=True)]
    for name, here, whole in (("int16", grids, True), ("turned", oblique, True), ("float32", grids, False)):
        with part.step(name):
            _check_kind(setting, part, name, here, whole)


def _check_kind(setting: Setting, part: Part, name: str, grids: Sequence[Grid], whole: bool) -> None:
    from operators.station_fusion.resample_cuda import average_on_cuda

    signals, grid = noise_stations(grids, whole), common_grid(grids)
    plan = plan_sampling(grids, grid)
    block = {"block_shape": (4, 2, 1)} if setting.small else {}

    def on_device() -> NDArray[np.float32]:
        return average_on_cuda(signals, plan, device=setting.device, **block)

    def on_cpu() -> NDArray[np.float32]:
        return average_stations(signals, grids, grid, "cpu")

    first = setting.timed(on_device)
    fused = on_device()
    difference = float(np.abs(fused - on_cpu()).max())
    part.rows.append(
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
    plain = np.array(fused)  # in memory that is not page-locked, as the CPU leaves its volumes
    upload_s = setting.median(lambda: torch.from_numpy(plain).to(setting.device), 5)
    expected = estimate(plan, 4, numba.get_num_threads(), first=False)
    part.details[name] = {
        "grid": grid.shape,
        "first_ms": 1e3 * first,
        "device_ms": 1e3 * gpu_s,
        "cpu_ms": 1e3 * cpu_s,
        "upload_of_the_cpu_volumes_ms": 1e3 * upload_s,
        "estimated_ms": {"device": 1e3 * expected.cuda, "cpu": 1e3 * expected.cpu},
        "max_difference": difference,
        **_parts(setting, signals, plan, block),
    }
    aim = "12 ms" if name == "int16" else ""
    part.rows += [
        Row(
            f"fusion, {name}: arrays to arrays",
            f"{1e3 * gpu_s:.1f} ms",
            f"CPU {1e3 * cpu_s:.1f} ms",
            aim,
            None if setting.small or not aim else gpu_s <= 0.012,
        ),
        Row(
            f"fusion, {name}: beside the CPU with the upload of its volumes",
            f"{1e3 * gpu_s:.1f} ms",
            f"CPU {1e3 * (cpu_s + upload_s):.1f} ms",
            "not slower",
            None if setting.small else gpu_s <= cpu_s + upload_s,
        ),
        Row(
            f"fusion, {name}: auto would take",
            "the GPU" if expected.cuda < expected.cpu else "the CPU",
            f"expected {1e3 * expected.cuda:.1f} and {1e3 * expected.cpu:.1f} ms",
            "the faster one",
            None if setting.small else took_the_faster(gpu_s, cpu_s, expected),
        ),
    ]


def took_the_faster(gpu_s: float, cpu_s: float, expected: Estimate) -> bool:
    """Whether ``auto`` takes the faster way. Where both take about the same time, either choice is right."""
    alike = max(gpu_s, cpu_s) <= _ALIKE * min(gpu_s, cpu_s)
    return alike or (gpu_s < cpu_s) == (expected.cuda < expected.cpu)


def noise_stations(grids: Sequence[Grid], whole: bool) -> Signals:
    """Four contrasts of uniform noise for each station, of whole numbers or not."""
    random = np.random.default_rng(0)
    made = [[random.random(grid.shape, dtype=np.float32) * _SIGNAL for _ in range(4)] for grid in grids]
    return [[np.round(signal) for signal in station] for station in made] if whole else made


def _parts(setting: Setting, signals: Signals, plan: SamplingPlan, block: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of the steps, each waited for. Packing and upload run beside each other in the whole."""
    from operators.station_fusion import resample_cuda

    every = [signal for station in signals for signal in station]
    packed, offsets = resample_cuda._uploaded(signals, setting.device)
    out = resample_cuda._resampled(packed, offsets, plan, **block)
    host = page_locked(tuple(packed.shape), packed.dtype, setting.device)
    view = host.numpy()
    packs_one = pack_whole if packed.dtype is torch.int16 else pack

    def packs() -> None:
        for station, start in zip(signals, offsets[:, 0].tolist(), strict=True):
            packs_one(station, view[start : start + sum(signal.size for signal in station)])

    steps: dict[str, Callable[[], object]] = {
        "look": lambda: looks_whole(every),
        "check_and_pack": packs,
        "upload": lambda: packed.copy_(host, non_blocking=True),
        "check_pack_and_upload": lambda: resample_cuda._uploaded(signals, setting.device),
        "tables_and_kernel": lambda: resample_cuda._resampled(packed, offsets, plan, **block),
        "download": lambda: resample_cuda._downloaded(out),
    }
    return {f"{name}_ms": 1e3 * setting.median(step, 5) for name, step in steps.items()}
