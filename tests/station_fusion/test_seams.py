"""Measurement of seams, and the effect of blends and matched intensities on them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.errors import DicomError, GeometryError, UsageError
from operators.core.options import FusionOptions
from operators.core.volume import Contrast, Fused, Station, Study
from operators.station_fusion import fuse
from operators.station_fusion.blending import fades
from operators.station_fusion.positions import find_positions
from operators.station_fusion.shift import residual_shift
from operators.station_fusion.swaps import find_swaps, rim_contrast
from tests.station_fusion.made_stations import make_grid, make_study, positions_mm, ramp, rotation_about

LEG_X, LEG_RADIUS = 60.0, 48.0


def legs(mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Water and fat of two thighs that taper towards the knee, with marrow and a muscle that runs obliquely.

    No two slices are alike, as no two scanned ones are.
    """
    x, y, z = np.moveaxis(mm, -1, 0)
    water, fat = np.zeros(x.shape), np.zeros(x.shape)
    for centre in (-LEG_X, LEG_X):
        radius = np.hypot(x - centre, y)
        skin = LEG_RADIUS * (0.6 + 0.4 * z / 400.0)
        muscle, rim = radius < 0.8 * skin, (radius >= 0.8 * skin) & (radius < skin)
        stripe = np.hypot(x - centre - 15, y - 25 + z / 8) < 7.0
        marrow = radius < 8.0
        water += np.where(muscle & ~marrow, np.where(stripe, 320.0, 220.0), np.where(rim, 15.0, 0.0))
        fat += np.where(muscle & ~marrow, 12.0, np.where(rim | marrow, 330.0, 0.0))
    shade = 1.0 + 1e-6 * z
    return water * shade, fat * shade


def station(
    z: float,
    series: int,
    *,
    gain: float = 1.0,
    moved: tuple[float, float, float] = (0.0, 0.0, 0.0),
    swapped: bool = False,
    slices: int = 40,
    rotation: NDArray[np.float64] | None = None,
) -> list[Station]:
    grid = make_grid((slices, 44, 74), (3.0, 3.0, 4.0), (-109.5, -64.5, z), rotation)
    water, fat = (gain * part for part in legs(positions_mm(grid) - np.array(moved)))
    if swapped:
        water, fat = fat, water
    images = {Contrast.IN: water + fat, Contrast.OPPOSED: np.abs(water - fat), Contrast.WATER: water, Contrast.FAT: fat}
    return [
        Station(
            contrast=contrast,
            voxels=image.astype(np.float32),
            grid=grid,
            acquired=None,
            series_uid=f"1.2.{series + n}",
            frame_of_reference_uid="1.2.3",
            series_number=series + n,
            series_description=contrast.value,
        )
        for n, (contrast, image) in enumerate(images.items())
    ]


def study(**victim: object) -> Study:
    """Three stations of 160 mm that share 36 mm with each neighbour; the middle one can be degraded."""
    return make_study(
        [station(0.0, 1), station(124.0, 5, **victim), station(248.0, 9)],  # type: ignore[arg-type]
    )


def codes(fused: Fused) -> list[str]:
    return [flag.code for flag in fused.flags if not flag.code.startswith("no-")]


def test_stations_that_agree_show_no_seam() -> None:
    fused = fuse(study())
    assert codes(fused) == []
    for pair in fused.overlaps:
        assert pair["mean_absolute_difference"] < 1e-3
        assert pair["shift_mm"] < 0.2
        assert pair["seam_visibility"] < 1.35


def test_gain_and_seam_are_measured_and_matching_removes_them() -> None:
    spoilt = study(gain=1.25)
    fused = fuse(spoilt)
    assert [pair["gain_ratio"] for pair in fused.overlaps] == pytest.approx([1 / 1.25, 1.25], rel=1e-3)
    assert min(pair["seam_visibility"] for pair in fused.overlaps) > 3
    matched = fuse(spoilt, FusionOptions(match_intensity=True))
    assert codes(matched) == ["intensity-matched"]
    assert [pair["gain_ratio"] for pair in matched.overlaps] == pytest.approx([1 / 1.25, 1.25], rel=1e-3)  # as acquired
    assert max(pair["seam_visibility"] for pair in matched.overlaps) < 1.4
    # Up to an overall brightness, the result is that of stations that agree.
    ratio = matched.in_phase / np.where(fuse(study()).in_phase > 0, fuse(study()).in_phase, np.nan)
    assert np.nanstd(ratio) < 1e-3
    assert np.nanmean(ratio) == pytest.approx(1.25 ** (1 / 3), rel=1e-3)
    inside = matched.body & fused.body
    np.testing.assert_allclose(matched.fat_fraction[inside], fused.fat_fraction[inside], atol=0.1)


@pytest.mark.parametrize("blend", ["linear", "logistic"])
def test_blends_hide_a_gain_difference_better_than_the_average(blend: str) -> None:
    spoilt = study(gain=1.3)
    average, blended = fuse(spoilt), fuse(spoilt, FusionOptions(blend=blend))  # type: ignore[arg-type]
    for before, after in zip(average.overlaps, blended.overlaps, strict=True):
        assert after["seam_visibility"] < 0.5 * before["seam_visibility"]


@pytest.mark.parametrize("blend", ["linear", "logistic"])
def test_weights_of_neighbours_add_up_to_one_and_fall_towards_each_end(blend: str) -> None:
    positions, _ = find_positions(study().stations)
    upper, middle, _ = fades(positions, blend)  # type: ignore[arg-type, misc]
    shared = 9  # 36 mm of 4 mm slices
    np.testing.assert_allclose(upper[:shared] + middle[-shared:], 1.0, atol=1e-6)
    assert (np.diff(upper[:shared]) > 0).all()
    assert upper[shared:].min() > 0.98
    assert upper[0] < 0.06


def test_linear_blend_of_constants_is_a_straight_line() -> None:
    grids = [make_grid((20, 6, 6), origin=(0, 0, 0)), make_grid((20, 6, 6), origin=(0, 0, 30.0))]
    low, high = (
        [
            dataclasses.replace(s, voxels=np.full(grid.shape, level, np.float32), grid=grid, series_number=n)
            for s in station(0.0, n)
        ]
        for n, (grid, level) in enumerate(zip(grids, (100.0, 120.0), strict=True))
    )
    line = fuse(make_study([low, high]), FusionOptions(blend="linear")).in_phase[:, 3, 3]
    z = 3.0 * np.arange(line.size)
    faces = 30.0 - 1.5, 57.0 + 1.5
    between = (z >= 30) & (z <= 57)
    np.testing.assert_allclose(line[between], 100 + 20 * (z[between] - faces[0]) / (faces[1] - faces[0]), rtol=1e-5)
    assert np.unique(line[z < 30]).tolist() == [100.0]
    assert np.unique(line[z > 57]).tolist() == [120.0]


def test_blends_reproduce_a_ramp_also_with_tilted_stations() -> None:
    grids = [
        make_grid((12, 10, 12)),
        make_grid((12, 10, 12), origin=(-11, -12, 21), rotation=rotation_about((1, 2, 0), 3)),
    ]
    stations = [
        [
            dataclasses.replace(s, voxels=ramp(positions_mm(g)).astype(np.float32), grid=g, series_number=n)
            for s in station(0.0, n)
        ]
        for n, g in enumerate(grids)
    ]
    linear, average = (fuse(make_study(stations), FusionOptions(blend=blend)) for blend in ("linear", "average"))  # type: ignore[arg-type]
    np.testing.assert_allclose(linear.in_phase[4:-4, 2:-2, 2:-2], average.in_phase[4:-4, 2:-2, 2:-2], rtol=1e-5)


@pytest.mark.parametrize("moved", [(7.0, 0.0, 0.0), (-3.0, 5.0, 0.0), (4.0, -2.5, 8.0)])
def test_displacement_is_measured_to_a_part_of_a_voxel(moved: tuple[float, float, float]) -> None:
    grid = make_grid((10, 44, 74), (3.0, 3.0, 4.0), (-109.5, -64.5, 100.0))
    first, second = (
        np.asarray(sum(legs(positions_mm(grid) - np.array(offset))), dtype=np.float32) for offset in ((0, 0, 0), moved)
    )
    shift = residual_shift(first, second, grid.spacing_mm)
    assert shift is not None
    assert shift.mm[:2] == pytest.approx(moved[:2], abs=0.6)
    # A thigh changes little along z, and oblique structures also move sideways, so one slice is the limit.
    assert shift.mm[2] == pytest.approx(moved[2], abs=4.0)
    assert shift.correlation > 0.9


def test_displacement_does_not_depend_on_gain_and_coil_brightness() -> None:
    grid = make_grid((10, 44, 74), (3.0, 3.0, 4.0), (-109.5, -64.5, 100.0))
    mm = positions_mm(grid)
    first = np.asarray(sum(legs(mm)), dtype=np.float32)
    second = np.asarray(sum(legs(mm - np.array([6.0, 0, 0]))) * (1.5 + mm[..., 0] / 300), dtype=np.float32)
    shift = residual_shift(first, second, grid.spacing_mm)
    assert shift is not None
    assert shift.mm[:2] == pytest.approx((6.0, 0.0), abs=0.6)


def test_empty_stations_have_no_displacement() -> None:
    empty = np.zeros((4, 20, 20), dtype=np.float32)
    assert residual_shift(empty, empty, (2.0, 2.0, 3.0)) is None


def test_the_station_between_two_that_agree_is_the_one_that_moved() -> None:
    fused = fuse(study(moved=(8.0, 0.0, 0.0)))
    (flag,) = [flag for flag in fused.flags if flag.code == "shifted-station"]
    assert "series 5, 6, 7, 8 " in flag.message
    assert "both its neighbours" in flag.message


def test_a_displaced_end_station_is_flagged_with_its_neighbour() -> None:
    displaced = make_study([station(0.0, 1), station(124.0, 5), station(248.0, 9, moved=(0.0, 8.0, 0.0))])
    (flag,) = [flag for flag in fuse(displaced).flags if flag.code == "shifted-station"]
    assert "series 9, 10, 11, 12" in flag.message
    assert "series 5, 6, 7, 8" in flag.message


@pytest.mark.parametrize("swapped", [(), (0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)])
def test_any_set_of_swapped_stations_is_found(swapped: tuple[int, ...]) -> None:
    made = make_study(station(248.0 - 124.0 * n, 1 + 4 * n, swapped=n in swapped) for n in range(3))
    fused, sound = fuse(made, FusionOptions(fix_swaps=True)), fuse(study())
    assert codes(fused) == ["water-fat-swap"] * len(swapped)
    np.testing.assert_array_equal(fused.water, sound.water)
    positions, _ = find_positions(made.stations)
    assert find_swaps(positions, ()) == swapped  # the rims alone are sufficient here


def test_a_single_station_can_be_swapped() -> None:
    (position,), _ = find_positions(station(0.0, 1, swapped=True))
    assert rim_contrast(position) < -0.5
    assert "water-fat-swap" in [flag.code for flag in fuse(make_study([station(0.0, 1, swapped=True)])).flags]


def test_end_slices_can_be_trimmed() -> None:
    whole, trimmed = fuse(study()), fuse(study(), FusionOptions(trim_slices=2))
    assert trimmed.grid.shape[0] == whole.grid.shape[0] - 4
    assert [s.grid.shape[0] for s in trimmed.stations] == [36] * 12
    np.testing.assert_allclose(trimmed.water, whole.water[2:-2], rtol=1e-5, atol=1e-3)
    with pytest.raises(GeometryError, match="40 slices, of which 20 are trimmed"):
        fuse(study(), FusionOptions(trim_slices=20))
    with pytest.raises(UsageError, match="0 or more"):
        fuse(study(), FusionOptions(trim_slices=-1))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_signal_that_is_not_finite_is_refused(value: float) -> None:
    made = study()
    made.stations[5].voxels[3, 4, 5] = value
    with pytest.raises(DicomError, match=r"series 6 \(opp\): 1 voxels that are NaN or infinite"):
        fuse(made)


def test_n4_removes_coil_brightness() -> None:
    pytest.importorskip("SimpleITK")
    made = study()
    fields = []
    for one in made.stations:
        field = np.exp(0.35 * positions_mm(one.grid)[..., 0] / 110)
        one.voxels[...] *= field
        fields.append(field)
    flat, spoilt, corrected = fuse(study()), fuse(made), fuse(made, FusionOptions(bias_correction="n4"))
    muscle = flat.body & (flat.water > 200) & (flat.water < 240)
    assert np.std(spoilt.water[muscle]) / np.mean(spoilt.water[muscle]) > 0.15
    assert np.std(corrected.water[muscle]) / np.mean(corrected.water[muscle]) < 0.06
    np.testing.assert_allclose(corrected.fat_fraction[muscle], flat.fat_fraction[muscle], atol=0.01)


@pytest.mark.parametrize(("option", "found"), [("blend", "average, linear or logistic"), ("bias_correction", "n4")])
def test_unknown_options_are_refused(option: str, found: str) -> None:
    wrong: dict[str, Any] = {option: "feather"}
    with pytest.raises(UsageError, match=found):
        fuse(study(), FusionOptions(**wrong))
