"""Body mask and fat fraction on a thigh of known size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.core.volume import Grid
from operators.station_fusion import body_mask, fat_fraction
from operators.station_fusion.body import mask_above, otsu_threshold
from operators.station_fusion.dim_signal import brightened
from tests.station_fusion.made_stations import make_grid, positions_mm

GRID = make_grid((20, 60, 70), spacing=(3.0, 3.0, 5.0), origin=(-103.5, -88.5, 0.0))
MUSCLE_RADIUS, SKIN_RADIUS = 45.0, 60.0


def thigh(
    grid: Grid, centre_x: float = 0.0, noise: float = 5.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Water, fat and true mask of a cylinder of muscle in a ring of fat on a table, brighter towards one side."""
    mm = positions_mm(grid)
    radius = np.hypot(mm[..., 0] - centre_x, mm[..., 1])
    muscle, ring = radius < MUSCLE_RADIUS, (radius >= MUSCLE_RADIUS) & (radius < SKIN_RADIUS)
    marrow = radius < 8.0
    coil = 1.0 + mm[..., 1] / 200.0
    water = coil * np.where(muscle & ~marrow, 190.0, np.where(ring, 20.0, 0.0))
    fat = coil * np.where(muscle & ~marrow, 10.0, np.where(ring, 380.0, 0.0))
    table = (mm[..., 1] > 70) & (mm[..., 1] < 76) & (np.abs(mm[..., 0]) < 80)
    water = water + np.where(table, 80.0, 0.0)
    random = np.random.default_rng(1)
    noisy = [np.abs(signal + random.normal(0, noise, signal.shape)).astype(np.float32) for signal in (water, fat)]
    return noisy[0], noisy[1], muscle | ring


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_body_is_the_thigh_with_its_marrow_and_without_the_table() -> None:
    water, fat, truth = thigh(GRID)
    body = body_mask(water, fat, GRID)
    assert dice(body, truth) > 0.98
    assert not body[positions_mm(GRID)[..., 1] > 66].any()
    assert body[10, 29:31, 34:36].all()  # the signal-less marrow


def test_noiseless_signal_is_not_split_between_muscle_and_fat() -> None:
    water, fat, truth = thigh(GRID, noise=0.0)
    assert dice(body_mask(water, fat, GRID), truth) > 0.98


def test_a_side_far_from_the_coil_is_in_the_body() -> None:
    water, fat, truth = thigh(GRID)
    mm = positions_mm(GRID)
    fall = [1 / (1 + np.exp(-distance)) for distance in ((mm[..., 0] - 10) / 20, (mm[..., 2] - 65) / 8)]
    coil = (1 - 0.93 * fall[0] * fall[1]).astype(np.float32)  # towards one side of the highest slices
    signal = coil * (water + fat)
    one_threshold = mask_above(signal, otsu_threshold(np.sqrt(signal)) ** 2, GRID)
    assert dice(one_threshold[-4:], truth[-4:]) < 0.97
    body = body_mask(coil * water, coil * fat, GRID)
    assert dice(body[-4:], truth[-4:]) > 0.995
    assert not body[positions_mm(GRID)[..., 1] > 66].any()  # still without the table


def test_an_even_body_is_left_as_it_is() -> None:
    water, fat, truth = thigh(GRID)
    signal = water + fat
    assert brightened(signal, signal > 100, truth, GRID) is None
    assert brightened(signal, signal > 1e9, truth, GRID) is None


def test_both_legs_are_kept() -> None:
    wide = make_grid((10, 60, 100), spacing=(3.0, 3.0, 5.0), origin=(-148.5, -88.5, 0.0))
    left, right = thigh(wide, -70.0), thigh(wide, 70.0)
    body = body_mask(left[0] + right[0], left[1] + right[1], wide)
    assert dice(body, left[2] | right[2]) > 0.97


def test_gap_between_stations_stays_outside_the_body() -> None:
    water, fat, _ = thigh(GRID)
    water[9] = fat[9] = 0
    body = body_mask(water, fat, GRID)
    assert not body[9].any()
    assert body[8].any()
    assert body[10].any()


def test_nothing_gives_an_empty_body() -> None:
    empty = np.zeros(GRID.shape, dtype=np.float32)
    assert not body_mask(empty, empty, GRID).any()


def test_fat_fraction_is_that_of_the_tissue_and_zero_outside() -> None:
    water, fat, truth = thigh(GRID, noise=1.0)
    fraction = fat_fraction(water, fat, truth)
    radius = np.hypot(*np.moveaxis(positions_mm(GRID)[..., :2], -1, 0))
    assert abs(np.median(fraction[(radius > 12) & (radius < 40)]) - 0.05) < 0.005
    assert abs(np.median(fraction[(radius > 48) & (radius < 57)]) - 0.95) < 0.005
    assert fraction[~truth].max() == 0
    assert fraction.dtype == np.float32


def test_fat_fraction_without_signal_is_zero() -> None:
    nothing = np.zeros((2, 2, 2), dtype=np.float32)
    assert fat_fraction(nothing, nothing, np.ones((2, 2, 2), dtype=bool)).tolist() == nothing.tolist()
