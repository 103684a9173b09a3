"""Sampling and averaging, compared with known functions and with SimpleITK."""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.core.errors import UsageError
from operators.core.volume import Grid
from operators.station_fusion import average_stations, choose_device, common_grid
from operators.station_fusion.plan import ALIGNMENT_TOLERANCE, plan_sampling
from operators.station_fusion.resample_cpu import average_on_cpu
from tests.station_fusion.made_stations import make_grid, positions_mm, ramp, rotation_about


def sampled(grid: Grid, signal: object = ramp) -> NDArray[np.float32]:
    return np.asarray(signal(positions_mm(grid))).astype(np.float32)  # type: ignore[operator]


def noise(grid: Grid, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 1000, grid.shape).astype(np.float32)


def index_in(grid: Grid, mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel index (k, j, i) of positions, shape (..., 3)."""
    inverse = np.linalg.inv(grid.affine)
    return np.asarray((mm @ inverse[:3, :3].T + inverse[:3, 3])[..., ::-1])


def between_centres(grid: Grid, mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = index_in(grid, mm)
    return np.asarray(((index >= -1e-7) & (index <= np.array(grid.shape) - 1 + 1e-7)).all(axis=-1))


def sitk_image(voxels: NDArray[np.float32], grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels.astype(np.float64))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(tuple(grid.origin_mm))
    image.SetDirection(tuple((grid.affine[:3, :3] / grid.spacing_mm).ravel()))
    return image


def sitk_average(signals: list[NDArray[np.float32]], grids: list[Grid], grid: Grid) -> NDArray[np.float64]:
    """SimpleITK's float64 linear resampling, averaged where stations overlap.

    SimpleITK also repeats the end voxel in the outer half voxel. Such a sample
    weighs 2^-30 for each axis along which it is outside the end centres.
    """
    target = sitk_image(np.zeros(grid.shape, dtype=np.float32), grid)
    mm = positions_mm(grid)
    total, weights = np.zeros(grid.shape), np.zeros(grid.shape)
    for voxels, station_grid in zip(signals, grids, strict=True):
        image = sitk_image(voxels, station_grid)
        value = sitk.GetArrayFromImage(sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear, -1.0))
        index = index_in(station_grid, mm)
        axes_outside = ((index < -1e-7) | (index > np.array(station_grid.shape) - 1 + 1e-7)).sum(axis=-1)
        weight = np.where(value >= 0, 2.0 ** (-30 * axes_outside), 0)
        total += weight * value
        weights += weight
    return np.asarray(total / np.where(weights > 0, weights, 1))


TILT = rotation_about((1.0, 2.0, 0.5), 4.0)
ARRANGEMENTS = {
    "shifted": [make_grid(origin=(-11, -12, 0)), make_grid(origin=(-10.3, -13.1, 17.7))],
    "anisotropic": [make_grid(spacing=(2, 2.5, 3)), make_grid(spacing=(2.2, 2, 4.5), origin=(-12, -11, 15.2))],
    "tilted alike": [
        make_grid(rotation=TILT),
        make_grid(rotation=TILT, origin=tuple(np.array([-11, -12, 0]) + TILT @ [0.4, -0.9, 18.2])),
    ],
    "mutually rotated": [make_grid(), make_grid(rotation=TILT, origin=(-11.4, -11.2, 16.9))],
    "three at once": [
        make_grid(),
        make_grid(origin=(-10.5, -12.2, 8.3)),
        make_grid(origin=(-11.2, -12.9, 16.1), spacing=(2.0, 2.5, 2.6)),
    ],
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS.values(), ids=ARRANGEMENTS.keys())
def test_sampling_equals_simpleitk(arrangement: list[Grid]) -> None:
    signals = [noise(grid, seed) for seed, grid in enumerate(arrangement)]
    grid = common_grid(arrangement)
    ours = average_stations([[signal] for signal in signals], arrangement, grid)[0]
    reference = sitk_average(signals, arrangement, grid)
    # A voxel within rounding of a station's border may fall on either side of it.
    clear = np.ones(grid.shape, dtype=bool)
    for station_grid in arrangement:
        index = index_in(station_grid, positions_mm(grid))
        for border in (-0.5, 0.0):
            distance = np.minimum(np.abs(index - border), np.abs(index - (np.array(station_grid.shape) - 1 - border)))
            clear &= ((distance > 0.03) | (np.abs(index - np.round(index)) < 1e-9)).all(axis=-1)
    assert clear.mean() > 0.5
    assert np.abs(ours - reference)[clear].max() <= 1e-3 * 1000


@pytest.mark.parametrize("arrangement", ARRANGEMENTS.values(), ids=ARRANGEMENTS.keys())
def test_linear_ramp_is_reproduced_wherever_stations_interpolate(arrangement: list[Grid]) -> None:
    grid = common_grid(arrangement)
    ours = average_stations([[sampled(station)] for station in arrangement], arrangement, grid)[0]
    mm = positions_mm(grid)
    inside = np.any([between_centres(station, mm) for station in arrangement], axis=0)
    np.testing.assert_allclose(ours[inside], ramp(mm)[inside], rtol=2e-6)


def test_overlap_is_the_mean_and_the_rest_each_stations_own() -> None:
    lower, upper = make_grid(), make_grid(origin=(-11.0, -12.0, 15.0))
    signals = [[np.full(grid.shape, value, dtype=np.float32)] for grid, value in ((lower, 10.0), (upper, 40.0))]
    fused = average_stations(signals, [lower, upper], common_grid([lower, upper]))[0]
    assert np.unique(fused[:5]).tolist() == [10.0]
    assert np.unique(fused[5:8]).tolist() == [25.0]  # z = 15, 18, 21 mm lie in both
    assert np.unique(fused[8:]).tolist() == [40.0]


def test_repeated_end_slice_does_not_affect_the_neighbour() -> None:
    lower = make_grid()  # its last slice is at z = 21 mm, and reaches to 22.5
    upper = make_grid(origin=(-11.0, -12.0, 19.0))
    signals = [[np.full(grid.shape, value, dtype=np.float32)] for grid, value in ((lower, 10.0), (upper, 40.0))]
    one_slice = make_grid((1, 10, 12), origin=(-11.0, -12.0, 22.0))
    assert np.unique(average_stations(signals, [lower, upper], one_slice)).tolist() == [40.0]


def test_touching_stations_leave_no_empty_slice_and_lose_no_end_slice() -> None:
    lower, upper = make_grid(), make_grid(spacing=(2.0, 2.5, 4.0), origin=(-11.0, -12.0, 24.5))
    grid = common_grid([lower, upper])
    signals = [[np.full(station.shape, 10.0, dtype=np.float32)] for station in (lower, upper)]
    signals[0][0][0], signals[1][0][-1] = 90.0, 70.0  # the outermost slices
    fused = average_stations(signals, [lower, upper], grid)[0]
    assert fused.min() > 0
    assert fused[0].min() == 90.0
    assert fused[-1].max() > 50.0


def test_one_station_comes_back_unchanged() -> None:
    station = make_grid(spacing=(2.232143, 2.232143, 3.5), rotation=TILT)
    signals = [noise(station, seed) for seed in range(4)]
    fused = average_stations([signals], [station], common_grid([station]))
    np.testing.assert_array_equal(fused, np.stack(signals))


def test_one_and_two_threads_give_the_same_bits() -> None:
    grids = ARRANGEMENTS["mutually rotated"]
    signals = [[noise(grid, seed) for seed in range(4)] for grid in grids]
    grid = common_grid(grids)
    before = numba.get_num_threads()
    if before < 2:
        pytest.skip("one processor")
    try:
        numba.set_num_threads(1)
        one = average_stations(signals, grids, grid)
        numba.set_num_threads(2)
        two = average_stations(signals, grids, grid)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, two)


def test_tables_and_matrices_sample_alike() -> None:
    grids = ARRANGEMENTS["three at once"]
    signals = [[noise(grid, seed) for seed in range(4)] for grid in grids]
    plan = plan_sampling(grids, common_grid(grids))
    assert plan.aligned.all()
    by_matrix = dataclasses.replace(plan, aligned=np.zeros_like(plan.aligned))
    np.testing.assert_allclose(average_on_cpu(signals, by_matrix), average_on_cpu(signals, plan), atol=1e-2)


def test_mirrored_axis_keeps_the_separable_path() -> None:
    plain = make_grid()
    affine = plain.affine.copy()
    affine[:3, 1] *= -1
    affine[:3, 3] += 9 * plain.affine[:3, 1]
    mirrored = Grid(plain.shape, affine)
    assert plan_sampling([mirrored], plain).aligned.all()
    fused = average_stations([[sampled(mirrored)]], [mirrored], plain)[0]
    np.testing.assert_allclose(fused, sampled(plain), rtol=2e-6)


coordinate = st.floats(-3.0, 3.0)
spacing = st.tuples(*[st.floats(0.8, 4.5)] * 3)


@settings(max_examples=60, deadline=None)
@given(spacings=st.tuples(spacing, spacing), shift=st.tuples(coordinate, coordinate, coordinate), degrees=coordinate)
@example(spacings=((1.0, 1.0, 1.0), (1.0, 3.0, 2.0)), shift=(0.0, 0.0, 1.0), degrees=0.005859375)
def test_ramp_is_reproduced_for_any_spacing_shift_and_tilt(
    spacings: tuple[tuple[float, float, float], ...], shift: tuple[float, float, float], degrees: float
) -> None:
    first = make_grid((5, 6, 7), spacings[0])
    origin = first.origin_mm + np.array(shift) + [0, 0, 3 * spacings[0][2]]
    second = make_grid((5, 6, 7), spacings[1], tuple(origin), rotation_about((1, 0.3, 0.2), degrees))
    grid = common_grid([first, second])
    fused = average_stations([[sampled(first)], [sampled(second)]], [first, second], grid)[0]
    mm = positions_mm(grid)
    inside = between_centres(first, mm) | between_centres(second, mm)
    # A tilt of less than a thousandth of a voxel is taken as none; the slopes of the ramp say what that changes.
    atol = ALIGNMENT_TOLERANCE * np.abs(ramp(np.diag(second.spacing_mm)) - ramp(np.zeros(3))).sum()
    aligned = plan_sampling([first, second], grid).aligned.all()
    np.testing.assert_allclose(fused[inside], ramp(mm)[inside], rtol=5e-6, atol=atol if aligned and degrees else 0)


@settings(max_examples=60, deadline=None)
@given(spacings=st.lists(spacing, min_size=1, max_size=4), shift=st.tuples(coordinate, coordinate, coordinate))
def test_common_grid_covers_every_station_and_no_more(
    spacings: list[tuple[float, float, float]], shift: tuple[float, float, float]
) -> None:
    grids = [make_grid((4, 5, 6), mm, tuple(np.array(shift) * n + [0, 0, -5.0 * n])) for n, mm in enumerate(spacings)]
    grid = common_grid(grids)
    assert grid.spacing_mm == pytest.approx(np.min(spacings, axis=0))
    faces_low = np.min([g.origin_mm - np.array(g.spacing_mm) / 2 for g in grids], axis=0)
    faces_high = np.max([g.origin_mm + (np.array(g.shape[::-1]) - 0.5) * np.array(g.spacing_mm) for g in grids], axis=0)
    step = np.array(grid.spacing_mm)
    first, last = grid.origin_mm, grid.origin_mm + (np.array(grid.shape[::-1]) - 1) * step
    assert np.all(first - step / 2 == pytest.approx(faces_low))
    assert np.all(np.abs(last + step / 2 - faces_high) <= step / 2 + 2e-3)


def test_unusable_spacing_is_refused() -> None:
    with pytest.raises(UsageError, match="three positive millimetres"):
        common_grid([make_grid()], (1.0, 0.0, 2.0))


def test_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        choose_device("gpu")  # type: ignore[arg-type]
