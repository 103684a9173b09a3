"""Which series belong together, which of them are kept, and which gaps are found."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from operators.core.errors import GeometryError, InputError
from operators.core.volume import Contrast
from operators.station_fusion import (
    choose_positions,
    coverage_flags,
    find_positions,
    stations_to_fuse,
)
from tests.station_fusion.made_stations import SCALES, make_grid, make_position, positions_mm, ramp, rotation_about

AT_TEN, AT_ELEVEN = datetime(2020, 1, 1, 10), datetime(2020, 1, 1, 11)


def at_height(z: float, shape: tuple[int, int, int] = (8, 6, 6), **kwargs: object) -> list:
    return make_position(make_grid(shape, origin=(0.0, 0.0, z)), **kwargs)  # type: ignore[arg-type]


def first_series(positions: object) -> list[int]:
    return [min(s.series_number for s in p.stations.values()) for p in positions]  # type: ignore[attr-defined]


def test_positions_come_superior_to_inferior_whatever_the_order() -> None:
    stations = at_height(0, first_series=1) + at_height(40, first_series=5) + at_height(20, first_series=9)
    for order in (stations, stations[::-1], stations[::2] + stations[1::2]):
        positions, flags = find_positions(order)
        assert first_series(positions) == [5, 9, 1]
        assert flags == ()


def test_newer_of_two_acquisitions_at_the_same_place_is_kept() -> None:
    newer, older = at_height(0, first_series=1, acquired=AT_ELEVEN), at_height(0.8, first_series=5, acquired=AT_TEN)
    for order in (newer + older, older + newer):
        positions, flags = find_positions(order)
        assert first_series(positions) == [1]
        assert [(flag.code, flag.severity) for flag in flags] == [("duplicate-station", "info")]
        assert "series 5, 6, 7, 8" in flags[0].message


def test_without_a_time_the_higher_series_number_is_kept() -> None:
    stations = at_height(0, first_series=7, acquired=None) + at_height(0, first_series=3, acquired=None)
    assert first_series(find_positions(stations)[0]) == [7]


def test_newer_but_incomplete_acquisition_is_replaced_by_the_older_with_a_warning() -> None:
    newer = at_height(0, first_series=5, acquired=AT_ELEVEN, contrasts=(Contrast.WATER, Contrast.FAT))
    positions, flags = find_positions(at_height(0, first_series=1, acquired=AT_TEN) + newer)
    assert first_series(positions) == [1]
    assert [(flag.code, flag.severity) for flag in flags] == [("incomplete-duplicate", "warning")]


def test_stations_side_by_side_are_not_duplicates() -> None:
    left = make_position(make_grid((8, 6, 6), origin=(100.0, 0.0, 0.0)), first_series=5)
    positions, flags = find_positions(at_height(0) + left)
    assert len(positions) == 2
    assert flags == ()


def test_missing_contrast_is_named() -> None:
    with pytest.raises(InputError, match="series 1, 2, 3: no fat series"):
        find_positions(at_height(0, contrasts=(Contrast.IN, Contrast.OPPOSED, Contrast.WATER)))


NOT_FAT = (Contrast.IN, Contrast.OPPOSED, Contrast.WATER)


def test_contrasts_of_different_size_are_cropped_to_what_they_share() -> None:
    whole = make_position(make_grid((16, 14, 12), origin=(0.0, 0.0, 0.0)), contrasts=NOT_FAT)
    # One row less on one side, one slice less below, shifted by half a column.
    smaller = make_position(make_grid((15, 13, 12), origin=(1.0, 2.5, 3.0)), first_series=4, contrasts=(Contrast.FAT,))
    (position,), flags = find_positions(whole + smaller)
    assert [(flag.code, flag.severity) for flag in flags] == [("contrast-cropped", "warning")]
    assert "11 x 13 x 15 voxels" in flags[0].message
    assert position.grid.same_as(make_grid((15, 13, 11), origin=(2.0, 2.5, 3.0)))
    for contrast, station in position.stations.items():
        expected = SCALES[contrast] * ramp(positions_mm(position.grid))
        np.testing.assert_allclose(station.voxels, expected, rtol=1e-5)
    np.testing.assert_array_equal(position.stations[Contrast.IN].voxels, whole[0].voxels[1:, 1:, 1:])


def test_contrasts_that_share_little_are_refused() -> None:
    smaller = at_height(6.0, shape=(6, 4, 6), first_series=4, contrasts=(Contrast.FAT,))
    with pytest.raises(GeometryError, match="fat has 6 x 4 x 6 voxels .* where in has 6 x 6 x 8"):
        find_positions(at_height(0, contrasts=NOT_FAT) + smaller)


def test_a_contrast_rotated_against_the_others_is_refused() -> None:
    turned = make_grid((8, 6, 6), origin=(0.0, 0.0, 0.0), rotation=rotation_about((0, 0, 1), 2.0))
    with pytest.raises(GeometryError, match="fat has"):
        find_positions(
            at_height(0, contrasts=NOT_FAT) + make_position(turned, first_series=4, contrasts=(Contrast.FAT,))
        )


def test_different_frames_of_reference_are_refused() -> None:
    with pytest.raises(GeometryError, match="2 frames of reference"):
        find_positions(at_height(0) + at_height(20, first_series=5, frame="1.2.4"))


def test_study_without_stations_is_refused() -> None:
    with pytest.raises(InputError, match="no Dixon station"):
        find_positions([])


@pytest.mark.parametrize(("count", "kept"), [(6, 4), (5, 4), (4, 4), (3, 3), (1, 1)])
def test_pelvis_to_knee_is_the_lowest_four(count: int, kept: int) -> None:
    stations = [station for n in range(count) for station in at_height(20.0 * n, first_series=1 + 4 * n)]
    positions, _ = find_positions(stations)
    assert first_series(choose_positions(positions, "pelvis-to-knee")) == [1 + 4 * n for n in reversed(range(kept))]
    assert len(choose_positions(positions, "all")) == count


def codes_of(heights: list[float], slices: int) -> list[str]:
    numbers = itertools.count(1, 4)
    stations = [s for z in heights for s in at_height(z, (slices, 6, 6), first_series=next(numbers))]
    return [flag.code for flag in coverage_flags(find_positions(stations)[0])]


def test_four_overlapping_stations_cover_pelvis_to_knee() -> None:
    assert codes_of([0, 180, 360, 540], 64) == []  # 192 mm each


def test_gap_between_stations_is_an_error_flag() -> None:
    assert codes_of([0, 192, 390, 580], 64) == ["station-gap"]  # no data from 382.5 to 388.5 mm


def test_stations_that_only_touch_leave_no_gap() -> None:
    assert codes_of([0, 192, 384, 576], 64) == []


@pytest.mark.parametrize(("heights", "slices"), [([0, 240, 480], 90), ([0, 380], 140), ([0], 265)])
def test_few_large_stations_cover_pelvis_to_knee(heights: list[float], slices: int) -> None:
    assert codes_of(heights, slices) == []


def test_too_short_stations_do_not_cover_pelvis_to_knee() -> None:
    assert codes_of([0, 150, 300], 80) == ["no-pelvis-to-knee-coverage"]
    assert codes_of([0, 100, 200, 300], 40) == ["no-pelvis-to-knee-coverage"]


@pytest.mark.parametrize("choice", ["pelvis-to-knee", "all"])
def test_stations_to_fuse_are_known_without_their_voxels(choice: str) -> None:
    six = [at_height(14.0 * n, first_series=1 + 4 * n, acquired=AT_TEN) for n in range(6)]
    rescanned = at_height(14.5, first_series=31, acquired=AT_ELEVEN)
    incomplete = at_height(28.0, first_series=41, acquired=AT_ELEVEN, contrasts=(Contrast.WATER,))
    stations = [*itertools.chain(*six), *rescanned, *incomplete]
    fused = choose_positions(find_positions(stations)[0], choice)  # type: ignore[arg-type]
    kept = stations_to_fuse([replace(station, decoded=False) for station in stations], choice)  # type: ignore[arg-type]
    expected = {station.series_uid for position in fused for station in position.stations.values()}
    # Of the places that were scanned again all is needed: the images tell which scan is used.
    again = {station.series_uid for station in (*six[1], *six[2], *rescanned, *incomplete)}
    assert {station.series_uid for station in kept} == expected | again
    assert len(expected) == {"pelvis-to-knee": 16, "all": 24}[choice]
