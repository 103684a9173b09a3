"""The body mask of a water image, in which fat is nearly as dark as the noise of air."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.volume import Grid
from operators.station_fusion.water_alone import body_of_water

_MUSCLE, _FAT = 215.0, 30.0
_GRID = Grid((10, 130, 180), np.diag([2.2, 2.2, 4.0, 1.0]))


def _legs(muscle_mm: float, fat_mm: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Water without noise of two round legs of muscle with a ring of fat, and the legs."""
    _, y, x = np.ogrid[: _GRID.shape[0], : _GRID.shape[1], : _GRID.shape[2]]
    distance_mm = (
        2.2 * np.minimum(np.hypot(y - 65, x - 45), np.hypot(y - 65, x - 135)) * np.ones((_GRID.shape[0], 1, 1))
    )
    legs = distance_mm < muscle_mm + fat_mm
    return np.where(distance_mm < muscle_mm, _MUSCLE, np.where(legs, _FAT, 0.0)).astype(np.float32), legs


def _noisy(water: NDArray[np.float32], sd: float, cleared_rows: int = 0) -> NDArray[np.float32]:
    """With the noise of a magnitude image; the outer rows hold nothing, as where no station reached them."""
    rng = np.random.default_rng(3)
    noisy = np.hypot(water + rng.normal(0, sd, water.shape), rng.normal(0, sd, water.shape)).astype(np.float32)
    if cleared_rows:
        noisy[:, :cleared_rows] = noisy[:, -cleared_rows:] = 0.0
    return noisy


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("cleared_rows", [0, 12])
@pytest.mark.parametrize("noise", [4.0, 8.0, 12.0])
@pytest.mark.parametrize(("muscle_mm", "fat_mm"), [(45.0, 30.0), (70.0, 8.0), (60.0, 20.0)])
def test_the_body_of_a_water_image_has_its_fat_at_any_noise_below_it(
    muscle_mm: float, fat_mm: float, noise: float, cleared_rows: int
) -> None:
    water, legs = _legs(muscle_mm, fat_mm)
    assert _dice(body_of_water(_noisy(water, noise, cleared_rows), _GRID), legs) > 0.95


def test_a_body_that_touches_the_edges_of_its_image_has_its_fat() -> None:
    water, legs = _legs(60.0, 20.0)
    rows, columns = (np.flatnonzero(legs.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    box = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cropped = np.ascontiguousarray(_noisy(water, 8.0)[box])
    assert _dice(body_of_water(cropped, Grid(cropped.shape, _GRID.affine)), legs[box]) > 0.95


def test_the_body_of_an_image_whose_air_the_scanner_cleared_has_its_fat() -> None:
    water, legs = _legs(60.0, 20.0)
    assert _dice(body_of_water(np.where(legs, _noisy(water, 8.0), np.float32(0)), _GRID), legs) > 0.95


def test_the_body_ends_with_its_muscle_where_noise_hides_the_fat() -> None:
    water, _ = _legs(60.0, 20.0)
    assert _dice(body_of_water(_noisy(water, 100.0), _GRID), water == _MUSCLE) > 0.9


def test_an_image_without_signal_has_no_body() -> None:
    assert not body_of_water(np.zeros(_GRID.shape, np.float32), _GRID).any()
