"""One series that holds several stacks: table positions, repeated stations."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from operators.core.errors import GeometryError
from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from operators.dicom_loader.header_texts import acquired, scanned
from operators.station_fusion.positions import find_positions
from tests.dicom_loader.dicom_maker import (
    COLUMNS,
    ORDER,
    ROOT,
    ROWS,
    SLICES,
    START,
    classic_header,
    stored_pixels,
    write,
    write_study,
)


def write_series(
    folder: Path, station: int, tag: str, *, one_series: bool = True, number: int = 301, **values: object
) -> None:
    """A station of four contrasts, in one series for the study (or for the contrast)."""
    for contrast in ORDER:
        for k in range(SLICES):
            header = classic_header(contrast, station, k)
            name = "" if one_series else f".{ORDER.index(contrast)}"
            header.SeriesInstanceUID, header.SeriesNumber = f"{ROOT}.7{name}", number
            header.SeriesDate, header.SeriesTime = START.strftime("%Y%m%d"), START.strftime("%H%M%S")
            header.SOPInstanceUID = f"{ROOT}.8.{len(list(folder.iterdir())) + 1}"
            for keyword, value in values.items():
                setattr(header, keyword, value)
            write(header, folder / f"{tag}.{contrast.value}.{k}.dcm")


def assert_stations(study: Study, stations: int) -> None:
    assert len(study.stations) == 4 * stations
    for number, station in enumerate(study.stations):
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, number // 4, k))


@pytest.mark.parametrize("one_series", [True, False])
@pytest.mark.parametrize("key", ["AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime", "nothing"])
def test_several_stations_in_one_series_are_told_apart(tmp_path: Path, key: str, one_series: bool) -> None:
    for station in range(3):
        moment = (START + timedelta(minutes=station)).strftime("%H%M%S")
        values: dict[str, Any] = {} if key == "nothing" else {key: moment if key == "AcquisitionTime" else station + 1}
        write_series(tmp_path, station, str(station), one_series=one_series, **values)
    study = load_study(tmp_path)
    assert_stations(study, 3)
    assert {flag.code for flag in study.flags} == {"several-stacks-in-series"}
    assert len(study.flags) == 4


def test_series_of_one_uid_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    """An anonymiser has given all series one SeriesInstanceUID; their slices overlap on one line."""

    def one_uid(header: Dataset) -> None:
        header.SeriesInstanceUID = f"{ROOT}.2.1"
        header.ImagePositionPatient[1] = -20.0

    write_study(tmp_path, stations=3, change=one_uid)
    study = load_study(tmp_path)
    assert_stations(study, 3)
    assert [flag.code for flag in study.flags] == ["several-stacks-in-series"] * 4
    assert (
        "series 2, 6, 10 (opp): 3 stacks of images in one series, told apart by SeriesNumber" in study.flags[0].message
    )


def test_different_images_of_one_sop_instance_uid_are_kept(tmp_path: Path) -> None:
    def shared(header: Dataset) -> None:
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.3.{header.InstanceNumber}")

    files = write_study(tmp_path, change=shared)
    shutil.copy(files[0], tmp_path / "copy.dcm")
    study = load_study(tmp_path)
    assert_stations(study, 2)
    assert {flag.code for flag in study.flags} == {"sop-uid-shared", "image-twice"}
    uids = [uid for station in study.stations for uid in station.sop_instance_uids]
    assert len(set(uids)) == len(uids) == len(files)
    again = [uid for station in load_study(tmp_path).stations for uid in station.sop_instance_uids]
    assert uids == again


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # All dates are that of the study, as exporters write and anonymisers leave them.
        ({"SeriesDate": "20260301", "SeriesTime": "000200"}, "2026-03-02 00:02"),
        ({"SeriesDate": "20260301", "SeriesTime": "235800"}, "2026-03-01 23:58"),
        ({"SeriesDate": "20260302", "SeriesTime": "000200"}, "2026-03-02 00:02"),
        ({"SeriesDate": "20260301", "SeriesTime": "233000"}, "2026-03-01 23:30"),
        ({"SeriesDate": "20260301", "SeriesTime": "000200", "StudyTime": "090000"}, "2026-03-01 00:02"),
        # Only the series has a date: it was reconstructed before or after midnight.
        ({"SeriesDate": "20260302", "SeriesTime": "000500", "AcquisitionTime": "235800"}, "2026-03-01 23:58"),
        ({"SeriesDate": "20260301", "SeriesTime": "235900", "AcquisitionTime": "000200"}, "2026-03-02 00:02"),
    ],
)
def test_times_past_midnight_belong_to_the_next_day(header: dict[str, str], expected: str) -> None:
    header = {"StudyDate": "20260301", "StudyTime": "233500"} | header
    moment = scanned(header) if "AcquisitionTime" in header else acquired(header)
    assert moment == datetime.fromisoformat(expected)


def test_a_repeated_station_in_the_same_series_is_the_newer_one(tmp_path: Path) -> None:
    write_series(tmp_path, 0, "old", one_series=False, AcquisitionNumber=1, AcquisitionTime="235100")

    def later(contrast: Contrast, k: int) -> Dataset:
        header = classic_header(contrast, 0, k)
        header.SeriesInstanceUID, header.SeriesNumber = f"{ROOT}.7.{ORDER.index(contrast)}", 301
        header.SOPInstanceUID = f"{ROOT}.9.{ORDER.index(contrast)}.{k + 1}"
        header.AcquisitionNumber, header.AcquisitionTime = 2, "235900"
        header.PixelData = (stored_pixels(contrast, 0, k) + 1).tobytes()
        return header

    for contrast in ORDER:
        for k in range(SLICES):
            write(later(contrast, k), tmp_path / f"new.{contrast.value}.{k}.dcm")
    study = load_study(tmp_path)
    assert len(study.stations) == 8
    (position,), flags = find_positions(study.stations)
    assert [flag.code for flag in flags] == ["duplicate-station"]
    for contrast, station in position.stations.items():
        assert station.acquired == datetime(2026, 3, 1, 23, 59)
        np.testing.assert_array_equal(station.voxels[2], stored_pixels(contrast, 0, 2) + 1)


def test_a_repeat_half_a_slice_away_is_not_mixed_with_the_first_scan(tmp_path: Path) -> None:
    """Together their slices would make one regular stack of half the spacing."""
    write_series(tmp_path, 0, "old", MRAcquisitionType="3D", AcquisitionNumber=1)
    for contrast in ORDER:
        for k in range(SLICES):
            header = classic_header(contrast, 0, k)
            header.SeriesInstanceUID, header.SeriesNumber = f"{ROOT}.7", 301
            header.SOPInstanceUID = f"{ROOT}.9.{ORDER.index(contrast)}.{k + 1}"
            header.ImagePositionPatient[2] += 2.0
            header.MRAcquisitionType, header.AcquisitionNumber = "3D", 2
            write(header, tmp_path / f"new.{contrast.value}.{k}.dcm")
    study = load_study(tmp_path)
    assert len(study.stations) == 8
    assert {station.grid.shape[0] for station in study.stations} == {SLICES}


def test_acquisition_numbers_that_count_slices_do_not_split_a_stack(tmp_path: Path) -> None:
    for contrast in ORDER:
        for k in range(SLICES):
            header = classic_header(contrast, 0, k)
            header.AcquisitionNumber, header.AcquisitionTime = k // 2 + 1, f"2359{k:02d}"
            write(header, tmp_path / f"{contrast.value}.{k}.dcm")
    study = load_study(tmp_path)
    assert_stations(study, 1)
    assert study.flags == ()


def test_two_scans_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, 0, "one")
    write_series(tmp_path, 0, "two", PixelData=bytes(2 * ROWS * COLUMNS))
    with pytest.raises(GeometryError, match="share a position"):
        load_study(tmp_path)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_series_uid_per_image_is_no_series(tmp_path: Path, numbered: bool) -> None:
    def own_series(header: Dataset) -> None:
        header.SeriesInstanceUID = f"{ROOT}.6.{header.SeriesNumber}.{header.InstanceNumber}"
        if not numbered:
            header.SeriesNumber = 100 * header.SeriesNumber + header.InstanceNumber

    for station in range(2):
        for contrast in ORDER:
            for k in range(SLICES):
                header = classic_header(contrast, station, k)
                own_series(header)
                write(header, tmp_path / f"{station}.{contrast.value}.{k}.dcm")
    study = load_study(tmp_path)
    assert_stations(study, 2)
    assert "series-uid-per-image" in {flag.code for flag in study.flags}


def test_the_same_image_in_two_files_is_read_once(tmp_path: Path) -> None:
    files = write_study(tmp_path, stations=1)
    (tmp_path / "copy").mkdir()
    for file in files[::3]:
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    study = load_study(tmp_path)
    assert_stations(study, 1)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("image-twice", "info")]


def test_an_image_without_position_among_good_ones_is_left_out(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    header = classic_header(Contrast.WATER, 0, 0)
    del header.ImagePositionPatient
    header.SOPInstanceUID = f"{ROOT}.9"
    write(header, tmp_path / "odd.dcm")
    study = load_study(tmp_path)
    assert_stations(study, 1)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("image-without-position", "warning")]


def test_a_slice_of_a_stack_without_position_is_named(tmp_path: Path) -> None:
    def lose(header: Dataset) -> None:
        if header.SeriesNumber == 3 and header.InstanceNumber == 4:
            del header.ImagePositionPatient

    write_study(tmp_path, stations=1, change=lose)
    with pytest.raises(GeometryError, match=r"file .*: no usable ImagePositionPatient"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        ((["ND"], ["DIS2D"]), "DIS2D"),
        ((["NORM", "DIS3D"], ["DIS3D"]), "NORM"),
        ((["DIS2D"], ["DIS3D"]), "DIS3D"),
    ],
)
def test_of_several_kinds_of_one_scan_one_is_used_throughout(
    tmp_path: Path, kinds: tuple[list[str], list[str]], kept: str
) -> None:
    for station in range(2):
        for contrast in ORDER:
            for number, kind in enumerate(kinds):
                for k in range(SLICES):
                    header = classic_header(contrast, station, k)
                    header.ImageType = [*header.ImageType, *kind]
                    # Each reconstruction is a series of its own, begun a little later; the scan is one.
                    header.AcquisitionDate, header.AcquisitionTime = "20260301", f"23510{station}"
                    header.SeriesTime = f"2355{10 * number + ORDER.index(contrast):02d}"
                    header.SeriesNumber += 100 * number
                    header.SeriesInstanceUID += f".{number}"
                    header.SOPInstanceUID += f".{number}"
                    write(header, tmp_path / f"{station}.{contrast.value}.{number}.{k}.dcm")
    study = load_study(tmp_path)
    assert_stations(study, 2)
    number = next(n for n, kind in enumerate(kinds) if kept in kind)
    assert {station.series_number // 100 for station in study.stations} == {number}
    assert [(flag.code, flag.severity) for flag in study.flags] == [("other-image-kinds", "info")]


def test_the_kind_that_every_scan_has_is_preferred_to_a_corrected_one_of_some(tmp_path: Path) -> None:
    def add(suffix: str, kind: str, stations: int) -> None:
        def change(header: Dataset) -> None:
            header.ImageType = [*header.ImageType, kind]
            header.SeriesInstanceUID += suffix
            header.SOPInstanceUID += suffix

        write_study(tmp_path / kind, stations=stations, change=change)

    add(".1", "ND", 2)
    add(".2", "DIS2D", 1)
    study = load_study(tmp_path)
    assert {station.series_uid[-2:] for station in study.stations} == {".1"}
    assert [flag.code for flag in study.flags] == ["other-image-kinds"]


def test_stations_that_were_not_corrected_alike_are_flagged(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        if header.SeriesNumber < 6:  # the higher of two stations
            header.ImageType = [*header.ImageType, "DIS3D"]

    write_study(tmp_path, change=change)
    assert [(flag.code, flag.severity) for flag in load_study(tmp_path).flags] == [("mixed-image-kinds", "warning")]
