"""Ghosts, voids around metal and steps between stations are flagged with place; sound stations are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from operators.core.volume import Contrast
from operators.station_fusion.agreement import step_flags
from operators.station_fusion.empty_slices import empty_slice_flags
from operators.station_fusion.image_quality import (
    _ROUND_MM,
    _is_round,
    ghost_ratio,
    image_quality_flags,
    largest_void,
)
from operators.station_fusion.positions import TablePosition, find_positions
from operators.station_fusion.repeated_slices import repeated_slice_flags
from tests.station_fusion.made_stations import make_grid, make_position
from tests.station_fusion.test_partial_swaps import legs


def with_in_phase(position: TablePosition, voxels: NDArray[np.float64]) -> TablePosition:
    in_phase = replace(position.stations[Contrast.IN], voxels=voxels.astype(np.float32))
    return TablePosition({**position.stations, Contrast.IN: in_phase})


def in_phase(position: TablePosition) -> NDArray[np.float32]:
    return position.stations[Contrast.IN].voxels


@pytest.fixture(scope="module")
def sound() -> TablePosition:
    return legs(rows=110)


def test_a_sound_station_has_no_flag(sound: TablePosition) -> None:
    assert ghost_ratio(sound) < 1.2
    assert largest_void(sound)[0] == 0
    assert image_quality_flags([sound]) == ()


def test_slices_without_signal_are_flagged_with_their_place(sound: TablePosition) -> None:
    assert empty_slice_flags([sound]) == ()
    low, high = sound.z_range_mm
    voxels = in_phase(sound).astype(np.float64)
    thickness = (high - low) / len(voxels)
    voxels[2:4] = 0.0
    voxels[-1] = 0.0  # as a scanner leaves it
    (flag,) = empty_slice_flags([with_in_phase(sound, voxels)])
    assert (flag.code, flag.severity, flag.quantities) == ("empty-slices", "warning", ("volume", "fat"))
    assert flag.z_mm == pytest.approx((low + 2 * thickness, low + 4 * thickness))
    many = int(20 // thickness) + 1
    voxels[-many:] = 0.0
    _, last = empty_slice_flags([with_in_phase(sound, voxels)])
    assert last.z_mm == pytest.approx((high - many * thickness, high)) and f"{many} slice" in last.message
    assert empty_slice_flags([with_in_phase(sound, np.zeros_like(voxels))]) == ()


@pytest.mark.parametrize("places", [[5, 6, 7], [9]], ids=["neighbours", "elsewhere"])
def test_slices_that_hold_the_image_of_another_are_flagged_with_their_place(
    sound: TablePosition, places: list[int]
) -> None:
    noise = np.random.default_rng(1).normal(0, 5, in_phase(sound).shape)
    scanned = np.where(in_phase(sound) > 0, in_phase(sound) + noise, 0)
    scanned[-2:] = 0.0  # not scanned, which is no repetition
    assert repeated_slice_flags([with_in_phase(sound, scanned)]) == ()
    low, high = sound.z_range_mm
    thickness = (high - low) / len(scanned)
    scanned[places] = scanned[4]
    (flag,) = repeated_slice_flags([with_in_phase(sound, scanned)])
    assert (flag.code, flag.severity, flag.quantities) == ("repeated-slices", "warning", ("volume", "fat"))
    assert flag.z_mm == pytest.approx((low + 4 * thickness, low + (places[-1] + 1) * thickness))
    assert f"{len(places) + 1} slices" in flag.message


def test_a_ghost_in_the_air_is_flagged(sound: TablePosition) -> None:
    voxels = in_phase(sound)
    ghosted = with_in_phase(sound, voxels + 0.1 * np.roll(voxels, 55, axis=1))
    (flag,) = image_quality_flags([ghosted])
    assert (flag.code, flag.severity, flag.z_mm) == ("ghosting", "warning", sound.z_range_mm)


def test_a_ghost_that_covers_more_than_half_of_the_air_is_flagged() -> None:
    grid = make_grid((20, 90, 110), (4.0, 4.0, 5.0), (-220.0, -180.0, 0.0))
    y, x = np.mgrid[:90, :110]
    body = (np.abs(x - 55) < 38) & (np.abs(y - 45) < 22)  # 300 mm wide; its ghost covers the air above and below it
    rng = np.random.default_rng(1)
    signal = np.broadcast_to(np.where(body, 240.0, 0.0), grid.shape)
    ((position,), *_) = find_positions(make_position(grid))

    def seen(ghost: float) -> TablePosition:
        ghosted = signal + ghost * np.roll(signal, 45, axis=1)
        noise = rng.normal(0, 7.5, (2, *grid.shape))
        return with_in_phase(position, np.hypot(ghosted + noise[0], noise[1]))

    assert image_quality_flags([seen(0.0)]) == ()
    (flag,) = image_quality_flags([seen(0.1)])
    assert flag.code == "ghosting"


def test_air_that_the_scanner_cleared_says_nothing(sound: TablePosition) -> None:
    voxels = in_phase(sound)
    cleared = np.where(voxels < 60, 0.0, voxels)
    cleared[:, 5:9, :20] = 80.0  # would be a ghost
    assert ghost_ratio(with_in_phase(sound, cleared)) == 1.0


def test_a_void_is_flagged_with_its_size_and_place(sound: TablePosition) -> None:
    grid = sound.grid
    k, j, i = np.indices(grid.shape)
    x, y, z = (grid.affine[a, 3] + grid.spacing_mm[a] * n for a, n in enumerate((i, j, k)))
    ball = (x - 100) ** 2 + y**2 + (z - 46) ** 2 < 25**2
    (flag,) = image_quality_flags([with_in_phase(sound, np.where(ball, 4.0, in_phase(sound)))])
    assert flag.code == "signal-void" and flag.z_mm is not None
    assert largest_void(with_in_phase(sound, np.where(ball, 4.0, in_phase(sound))))[0] == pytest.approx(65, rel=0.2)
    assert flag.z_mm[0] == pytest.approx(21, abs=6) and flag.z_mm[1] == pytest.approx(71, abs=6)
    middle = x**2 + y**2 + (z - 46) ** 2 < 25**2  # air between the legs is no void
    assert image_quality_flags([with_in_phase(sound, np.where(middle, 4.0, in_phase(sound)))]) == ()


@pytest.mark.parametrize(("gain", "flagged"), [(1.0, False), (1.2, False), (1.5, True), (0.6, True)])
def test_a_step_between_stations_is_flagged(sound: TablePosition, gain: float, flagged: bool) -> None:
    lower = legs(-80.0, first_series=5)
    flags = step_flags([{"upper": 0, "lower": 1, "gain_ratio": gain}], (sound, lower))
    assert [flag.code for flag in flags] == (["intensity-step"] if flagged else [])
    if flagged:
        assert flags[0].z_mm == (lower.z_range_mm[0], sound.z_range_mm[1])


def test_a_part_is_round_where_the_distance_to_everything_else_says_so() -> None:
    rng = np.random.default_rng(4)
    sizes = (5.0, 4.0, 6.0)
    answers = []
    for smooth in (1.0, 1.5, 2.5, 4.0):
        dark = ndimage.gaussian_filter(rng.normal(size=(20, 30, 25)), smooth) > 0.0
        depth = ndimage.distance_transform_edt(dark, sampling=sizes)
        parts, _ = ndimage.label(dark)
        for number, box in enumerate(ndimage.find_objects(parts), start=1):
            answers.append(bool((depth[parts == number] > _ROUND_MM).any()))
            assert _is_round(dark, parts[box] == number, box, sizes) == answers[-1]
    assert 3 < sum(answers) < len(answers) - 3
