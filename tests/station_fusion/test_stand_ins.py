"""Studies without in-phase or opposed-phase images: fused from water and fat, and what is absent stays absent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from operators.core.volume import Contrast, Station, Study
from operators.station_fusion import find_positions, fuse, stations_to_fuse
from operators.station_fusion.fused_files import read_fused, write_fused
from operators.station_fusion.stand_ins import with_stand_ins
from tests.station_fusion.made_stations import make_grid, make_position, make_study

WATER_FAT = (Contrast.WATER, Contrast.FAT)


def three_stations() -> Study:
    heights = [(60.0, 1), (34.0, 5), (8.0, 9)]
    return make_study(make_position(make_grid((10, 12, 14), origin=(0.0, 0.0, z)), first_series=n) for z, n in heights)


def only(study: Study, *contrasts: Contrast) -> Study:
    return replace(study, stations=tuple(s for s in study.stations if s.contrast in contrasts))


@pytest.mark.parametrize("there", [WATER_FAT, (Contrast.IN, *WATER_FAT), (Contrast.OPPOSED, *WATER_FAT)])
def test_water_and_fat_are_fused_as_in_a_whole_study(there: tuple[Contrast, ...]) -> None:
    study = three_stations()
    whole, fused = fuse(study), fuse(only(study, *there))
    for name in ("water", "fat", "fat_fraction", "body"):
        np.testing.assert_allclose(getattr(fused, name), getattr(whole, name), rtol=1e-5)
    absent = set(Contrast) - set(there)
    assert fused.absent == absent
    assert set(fused.volumes()) == set(whole.volumes()) - {contrast.value for contrast in absent}
    assert {station.contrast for station in fused.stations} == set(there)
    (flag,) = (flag for flag in fused.flags if flag.code == "contrast-absent")
    assert flag.severity == "warning" and ("in-phase" in flag.message) == (Contrast.IN in absent)
    assert len(fused.overlaps) == len(whole.overlaps)


def test_a_whole_study_has_no_stand_ins() -> None:
    study = three_stations()
    assert with_stand_ins(study.stations) == study.stations
    assert fuse(study).absent == frozenset()


def test_volumes_that_are_absent_are_not_written_and_come_back_as_absent(tmp_path: Path) -> None:
    fused = write_fused(tmp_path, only(three_stations(), *WATER_FAT))
    assert sorted(path.stem for path in tmp_path.glob("fused/*.nrrd")) == ["body", "fat", "fat_fraction", "water"]
    again = read_fused(tmp_path)
    assert again.absent == fused.absent == {Contrast.IN, Contrast.OPPOSED}
    np.testing.assert_allclose(again.in_phase, fused.water + fused.fat, rtol=1e-6)


def test_the_newer_scan_of_a_place_is_used_with_its_own_fat() -> None:
    grid = make_grid((8, 6, 6), origin=(0.0, 0.0, 0.0))
    stations: list[Station] = []
    for hour, first in ((11, 5), (10, 1)):
        stations += make_position(grid, first_series=first, acquired=datetime(2020, 1, 1, hour), contrasts=WATER_FAT)
    (position,), flags = find_positions(with_stand_ins(stations))
    assert {s.series_number for s in position.stations.values()} == {5, 6}
    assert [flag.code for flag in flags] == ["duplicate-station"]


def test_only_stations_of_the_study_are_named_for_decoding() -> None:
    stations = tuple(station.without_voxels() for station in only(three_stations(), *WATER_FAT).stations)
    named = stations_to_fuse(stations, "pelvis-to-knee")
    assert {id(station) for station in stations} <= {id(station) for station in named}
