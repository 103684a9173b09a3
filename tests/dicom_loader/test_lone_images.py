"""Single Dixon images beside the stations, and Dixon images that do not say where they lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from operators.core.errors import GeometryError
from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import ORDER, ROOT, SLICES, Change, classic_header, write, write_study

STATIONS = 2
PLANES = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])


def with_series(folder: Path, images: int, change: Change) -> Study:
    """A study, and for each station one more water series of so many images."""
    write_study(folder, stations=STATIONS)
    for station in range(STATIONS):
        for k in range(images):
            header = classic_header(Contrast.WATER, station, k)
            header.SeriesInstanceUID, header.SeriesNumber = f"{ROOT}.6.{station}", 90 + station
            header.SOPInstanceUID = f"{ROOT}.5.{station}.{k}"
            header.PixelData = header.PixelData[::-1]  # another scan of the same place
            change(header)
            write(header, folder / f"more.{station}.{k}.dcm")
    return load_study(folder)


def assert_stations(study: Study) -> None:
    assert len(study.stations) == STATIONS * len(ORDER)
    assert all(station.series_number < 90 for station in study.stations)


def test_a_reference_slice_of_a_contrast_is_left_out(tmp_path: Path) -> None:
    study = with_series(tmp_path, 1, lambda header: None)
    assert_stations(study)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("single-images", "info")]


def test_a_localiser_of_three_planes_whose_name_is_that_of_a_contrast_is_left_out(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        header.ImageOrientationPatient = PLANES[header.InstanceNumber - 1]

    assert_stations(with_series(tmp_path, 3, change))


def test_the_last_slice_that_is_left_of_a_station_is_refused(tmp_path: Path) -> None:
    write_study(tmp_path, stations=3, change=lambda h: not 6 <= h.SeriesNumber < 10 or h.InstanceNumber == 3)
    with pytest.raises(GeometryError, match=r"series 6 \(opp\): 1 slice; expected at least 2 slices"):
        load_study(tmp_path)


def without_place(header: Dataset) -> None:
    del header.ImagePositionPatient
    del header.ImageOrientationPatient


def test_a_screenshot_that_is_named_like_a_contrast_is_left_out(tmp_path: Path) -> None:
    study = with_series(tmp_path, 1, without_place)
    assert_stations(study)
    assert [flag.code for flag in study.flags] == ["image-without-position"]


def test_a_screenshot_in_colour_is_another_series(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        without_place(header)
        header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
        header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
        header.PixelData = bytes(header.Rows * header.Columns * 3 + 1)

    study = with_series(tmp_path, 1, change)
    assert_stations(study)
    assert [flag.code for flag in study.flags] == ["ignored-series"]


def test_a_whole_series_that_does_not_say_where_it_lies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="no usable ImagePositionPatient"):
        with_series(tmp_path, SLICES, without_place)
