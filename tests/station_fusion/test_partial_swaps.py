"""Water and fat swapped in one leg, or from a slice on: found where it is, and corrected exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.core.options import FusionOptions
from operators.core.volume import Contrast
from operators.station_fusion import fuse
from operators.station_fusion.body import body_mask
from operators.station_fusion.partial_swaps import PartialSwap, find_partial_swaps, partly_exchanged
from operators.station_fusion.positions import TablePosition, find_positions
from tests.station_fusion.made_stations import make_grid, make_position, make_study

SLICES = 24


def legs(
    z_mm: float = 0.0,
    *,
    apart_mm: float = 100.0,
    first_series: int = 1,
    flip_x: bool = False,
    rows: int = 60,
    fat_mm: float = 15.0,
) -> TablePosition:
    """A station of two legs: skin, fat, muscle with texture, and a femur full of fat; with noise."""
    grid = make_grid((SLICES, rows, 120), (3.0, 3.0, 4.0), (-178.5, -1.5 * (rows - 1), z_mm))
    if flip_x:
        affine = grid.affine.copy()
        affine[0, 0], affine[0, 3] = -3.0, 178.5
        grid = replace(grid, affine=affine)
    rng = np.random.default_rng(7)
    x = grid.affine[0, 3] + grid.affine[0, 0] * np.arange(120)
    y = -1.5 * (rows - 1) + 3.0 * np.arange(rows)
    radius = np.hypot(np.abs(x)[None, :] - apart_mm, y[:, None])
    fraction = np.select([radius < 12, radius < 70 - fat_mm, radius < 70, radius < 73], [0.85, 0.08, 0.93, 0.2], 0.0)
    signal = np.where(radius < 73, 250.0, 0.0)
    stations = {}
    for station in make_position(grid, first_series=first_series):
        share = {Contrast.WATER: 1 - fraction, Contrast.FAT: fraction, Contrast.IN: 1.0}.get(station.contrast, 0.5)
        noise = rng.normal(0.0, 6.0, grid.shape)
        stations[station.contrast] = replace(station, voxels=np.abs(signal * share + noise).astype(np.float32))
    return TablePosition(stations)


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize(
    ("side", "first", "end"),
    [
        ("left", 0, SLICES),
        ("right", 0, SLICES),
        ("left", 10, SLICES),
        ("right", 0, 9),
        ("left", 8, 16),
        ("both", 11, 24),
    ],
)
def test_a_swapped_part_is_found_where_it_is_and_corrected(side: str, first: int, end: int, flip_x: bool) -> None:
    sound = legs(flip_x=flip_x)
    swap = PartialSwap(0, side, first, end)
    faulty = partly_exchanged(sound, [swap])
    assert not np.array_equal(faulty.stations[Contrast.FAT].voxels, sound.stations[Contrast.FAT].voxels)
    assert find_partial_swaps([faulty]) == (swap,)
    mended = partly_exchanged(faulty, [swap])
    for contrast in (Contrast.WATER, Contrast.FAT):
        assert np.array_equal(mended.stations[contrast].voxels, sound.stations[contrast].voxels)


def test_the_patients_left_is_the_side_of_large_x() -> None:
    sound = legs()
    faulty = partly_exchanged(sound, [PartialSwap(0, "left", 0, SLICES)])
    changed = (faulty.stations[Contrast.FAT].voxels != sound.stations[Contrast.FAT].voxels).any(axis=(0, 1))
    assert changed[70:].any() and not changed[:50].any()


def test_a_sound_station_and_legs_that_touch_are_left_alone() -> None:
    assert find_partial_swaps([legs(), legs(apart_mm=70.0)]) == ()


@pytest.mark.parametrize("fat_mm", [1.0, 3.0])
def test_thin_fat_under_the_skin_of_a_lean_body_is_no_swap(fat_mm: float) -> None:
    assert find_partial_swaps([legs(fat_mm=fat_mm)]) == ()


def test_both_legs_swapped_in_different_slices_are_two_swaps() -> None:
    swaps = [PartialSwap(0, "left", 0, 10), PartialSwap(0, "right", 14, SLICES)]
    assert find_partial_swaps([partly_exchanged(legs(), swaps)]) == tuple(swaps)


def test_fusion_flags_a_leg_with_side_and_place_and_corrects_it_on_request() -> None:
    upper, lower = legs(80.0, first_series=1), legs(0.0, first_series=5)
    faulty = partly_exchanged(lower, [PartialSwap(0, "left", 0, 10)])

    def study(*positions: TablePosition):  # type: ignore[no-untyped-def]
        return make_study([list(position.stations.values()) for position in positions])

    found = [flag for flag in fuse(study(upper, faulty)).flags if flag.code == "water-fat-swap"]
    assert [flag.severity for flag in found] == ["error"]
    assert "patient's left" in found[0].message and "series 5, 6, 7, 8" in found[0].message
    assert "z = -2 to 38 mm" in found[0].message
    fixed = fuse(study(upper, faulty), FusionOptions(fix_swaps=True))
    assert [f.severity for f in fixed.flags if f.code == "water-fat-swap"] == ["warning"]
    np.testing.assert_array_equal(fixed.fat, fuse(study(upper, lower)).fat)


def test_a_station_swapped_for_the_most_part_is_not_taken_for_swapped_as_a_whole() -> None:
    upper, lower = legs(80.0, first_series=1), legs(0.0, first_series=5)
    faulty = partly_exchanged(lower, [PartialSwap(0, "both", 0, 20)])
    study = make_study([list(position.stations.values()) for position in (upper, faulty)])
    sound = make_study([list(position.stations.values()) for position in (upper, lower)])
    np.testing.assert_array_equal(fuse(study, FusionOptions(fix_swaps=True)).fat, fuse(sound).fat)


def test_legs_below_a_gap_stay_in_the_body_mask() -> None:
    """Each leg has less than a tenth of the voxels of what is above, and hangs together with nothing."""
    (position,), _ = find_positions(list(legs().stations.values()))
    water, fat = (position.stations[c].voxels for c in (Contrast.WATER, Contrast.FAT))
    trunk = np.zeros((120, *water.shape[1:]), dtype=np.float32)
    trunk[:, 5:55, 5:115] = 250.0
    gap = np.zeros((10, *water.shape[1:]), dtype=np.float32)
    grid = make_grid((SLICES + 130, 60, 120), (3.0, 3.0, 4.0))
    mask = body_mask(np.concatenate([water, gap, trunk]), np.concatenate([fat, gap, trunk * 0.1]), grid)
    assert mask[:SLICES, 30, 30].all() and mask[:SLICES, 30, 90].all()  # in the middle of either leg
    assert not mask[SLICES : SLICES + 10].any()
