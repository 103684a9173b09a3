"""Stations are resampled where that is faster, are packed without loss, and their volumes stay on the device."""

from __future__ import annotations

import sys
from importlib.metadata import version
from types import ModuleType

import numpy as np
import pytest

from benchmarks.gpu_fusion import took_the_faster
from benchmarks.gpu_setting import turned
from operators.core import device_copies
from operators.core.errors import UsageError
from operators.core.volume import Grid
from operators.station_fusion import common_grid, device_choice, resample
from operators.station_fusion.plan import plan_sampling
from operators.station_fusion.resample import average_stations, average_where_faster
from phantom.station_geometry import archive_stations
from tests.station_fusion.made_stations import make_grid, rotation_about

ARCHIVE = [station.grid for station in archive_stations(4)]
TURNED = [make_grid((44, 174, 224), (2.2, 2.2, 3.0), rotation=rotation_about((1, 2, 0.5), n)) for n in (0.0, 2.0, 3.0)]


def test_the_estimates_are_those_that_were_measured() -> None:
    """On an H200 and 16 cores, for the stations of `gpu-check`: see the figures in docs/gpu.md."""
    oblique = [turned(grid, angle) for grid, angle in zip(ARCHIVE, (0.0, 2.0, -1.5, 3.0), strict=True)]
    for grids, cpu_s, transfers_and_kernel_s in ((ARCHIVE, 0.0111, 0.0050), (oblique, 0.0769, 0.0053)):
        plan = plan_sampling(grids, common_grid(grids))
        found = device_choice.estimate(plan, 4, 16, first=False)
        assert found.cpu == pytest.approx(cpu_s, rel=0.05)
        packing_s = found.cuda - transfers_and_kernel_s  # at most 4 ms with the check, of 10 ms for all
        assert 0.002 < packing_s < 0.004
        assert device_choice.estimate(plan, 4, 2, first=False).cpu > 5 * found.cpu


def test_auto_takes_the_gpu_only_where_it_is_faster_for_this_study(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned, turned = (plan_sampling(grids, common_grid(grids)) for grids in (ARCHIVE, TURNED))
    monkeypatch.setattr(device_choice, "_called", False)
    for plan in (aligned, turned):  # one study does not wait for a compiler to gain milliseconds
        assert device_choice.faster_device(plan, 4, 16) == "cpu"
    device_choice.called()
    assert device_choice.faster_device(turned, 4, 16) == "cuda"
    assert device_choice.faster_device(aligned, 4, 16) == "cuda"
    assert device_choice.faster_device(aligned, 4, 2) == "cuda"
    assert device_choice.faster_device(aligned, 4, 256) == "cpu"


@pytest.fixture
def small() -> tuple[list[list[np.ndarray]], list[Grid]]:
    grids = [make_grid((4, 5, 6)), make_grid((4, 5, 6), origin=(0, 0, 9))]
    random = np.random.default_rng(2)
    return [[random.uniform(0, 1000, grid.shape).astype(np.float32) for _ in range(4)] for grid in grids], grids


def cuda_that(answer: object) -> ModuleType:
    """Stands in for the module that needs numba-cuda and a GPU."""
    module = ModuleType("operators.station_fusion.resample_cuda")

    def average_on_cuda(signals: object, plan: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    module.average_on_cuda = average_on_cuda  # type: ignore[attr-defined]
    return module


def test_the_report_can_say_where_stations_were_resampled(
    small: tuple[list[list[np.ndarray]], list[Grid]], monkeypatch: pytest.MonkeyPatch
) -> None:
    signals, grids = small
    grid = common_grid(grids)
    expected = average_stations(signals, grids, grid)
    volumes, engine = average_where_faster(signals, grids, grid, "cpu")
    np.testing.assert_array_equal(volumes, expected)
    assert engine == f"cpu, numba {version('numba')}"

    on_gpu = expected.copy()
    device_copies.remember(on_gpu, ["in", "opposed", "fat", "water"])
    monkeypatch.setattr(resample, "choose_device", lambda device: "cpu" if device == "cpu" else "cuda")
    monkeypatch.setattr(resample, "_cuda_engine", lambda: "cuda, a GPU")
    monkeypatch.setitem(sys.modules, "operators.station_fusion.resample_cuda", cuda_that(on_gpu))
    volumes, engine = average_where_faster(signals, grids, grid, "cuda")
    assert engine == "cuda, a GPU"
    assert [device_copies.copy_of(volume) for volume in volumes] == ["in", "opposed", "fat", "water"]

    monkeypatch.setattr(resample, "faster_device", lambda *_: "cuda")
    broken = cuda_that(MemoryError("no room"))
    monkeypatch.setitem(sys.modules, "operators.station_fusion.resample_cuda", broken)
    volumes, engine = average_where_faster(signals, grids, grid, "auto")
    np.testing.assert_array_equal(volumes, expected)
    assert engine.startswith("cpu") and "CUDA failed: MemoryError" in engine
    with pytest.raises(MemoryError):  # what was asked for by name is not replaced
        average_where_faster(signals, grids, grid, "cuda")


def test_a_copy_belongs_to_one_array_and_goes_with_it() -> None:
    array, other = np.zeros(3), np.zeros(3)
    device_copies.remember(array, "copy")
    assert device_copies.copy_of(array) == "copy"
    assert device_copies.copy_of(other) is None and device_copies.copy_of(array[:]) is None
    count = len(device_copies._copies)
    del array
    assert len(device_copies._copies) == count - 1


@pytest.mark.parametrize(
    ("gpu_s", "cpu_s", "right"), [(0.008, 0.011, True), (0.0106, 0.0108, True), (0.0114, 0.0100, True), (2, 1, False)]
)
def test_the_check_of_a_gpu_accepts_either_way_where_both_take_the_same_time(
    gpu_s: float, cpu_s: float, right: bool
) -> None:
    assert took_the_faster(gpu_s, cpu_s, device_choice.Estimate(cpu=0.011, cuda=0.008)) is right


def test_a_numba_cuda_that_does_not_work_with_this_numpy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_choice.numba_cuda_misfit() is None  # what is installed here works
    monkeypatch.delattr(np, "row_stack")
    monkeypatch.setattr(device_choice, "version", lambda name: "0.30.4")
    monkeypatch.setattr(device_choice, "driver_sees_device", lambda: True)
    said = device_choice.numba_cuda_misfit()
    assert said is not None and "numpy<2.5" in said
    assert device_choice.choose_device("auto") == "cpu"
    with pytest.raises(UsageError, match="numpy<2.5"):
        device_choice.choose_device("cuda")
    monkeypatch.setattr(device_choice, "version", lambda name: "0.31.0")
    assert device_choice.numba_cuda_misfit() is None
