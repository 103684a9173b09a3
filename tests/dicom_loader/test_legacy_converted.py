"""Legacy Converted Enhanced MR, as highdicom converts classic images, gives the stations of those images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import highdicom.legacy
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import ROOT, series_number, write, write_study

COUNTER = itertools.count(900)
PHILIPS = {"OPP_PHASE": "OP", "IN_PHASE": "IP", "FAT": "F", "WATER": "W"}


def complete(header: Dataset) -> None:
    """What highdicom asks of its source images beyond what we read."""
    header.PatientPosition, header.BodyPartExamined = "HFS", "LEG"
    header.Manufacturer, header.ManufacturerModelName = "Maker", "Model"
    header.DeviceSerialNumber, header.SoftwareVersions = "1", "1"
    header.SliceThickness, header.ScanningSequence, header.SequenceVariant = 4.0, "GR", "SP"
    header.ScanOptions, header.MRAcquisitionType, header.EchoTime = "", "3D", 4.8
    header.MagneticFieldStrength, header.AcquisitionNumber = 1.5, 1
    header.AcquisitionDate, header.AcquisitionTime = header.SeriesDate, header.SeriesTime
    header.ContentDate, header.ContentTime = header.SeriesDate, header.SeriesTime
    header.PositionReferenceIndicator = ""


def converted(images: Sequence[Dataset]) -> Dataset:
    number = next(COUNTER)
    return highdicom.legacy.LegacyConvertedEnhancedMRImage(
        images, f"{ROOT}.7.{number}", number, f"{ROOT}.8.{number}", 1
    )


def by_series(files: Sequence[Path]) -> Iterator[list[Dataset]]:
    images = sorted(
        (pydicom.dcmread(file) for file in files), key=lambda image: (image.SeriesNumber, image.InstanceNumber)
    )
    for _, group in itertools.groupby(images, key=lambda image: image.SeriesNumber):
        yield list(group)


def signal(study: Study) -> list[tuple[str, float, float]]:
    """Contrast, height and mean of each station."""
    return sorted((str(s.contrast), float(s.grid.origin_mm[2]), float(s.voxels.mean())) for s in study.stations)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_study(tmp_path / "classic", change=complete)


def test_each_series_converted_by_itself(files: list[Path], tmp_path: Path) -> None:
    classic = load_study(tmp_path / "classic")
    (tmp_path / "legacy").mkdir()
    for images in by_series(files):
        write(converted(images), tmp_path / "legacy" / f"{images[0].SeriesNumber}.dcm")
    legacy = load_study(tmp_path / "legacy")
    assert signal(legacy) == signal(classic)
    for one in legacy.stations:
        other = next(s for s in classic.stations if s.contrast is one.contrast and s.grid.same_as(one.grid))
        np.testing.assert_array_equal(one.voxels, other.voxels)
    assert [flag.code for flag in legacy.flags] == [flag.code for flag in classic.flags]
    assert legacy.height_m == classic.height_m and legacy.pseudonym == classic.pseudonym


def test_all_contrasts_of_a_station_in_one_series_converted_together(files: list[Path], tmp_path: Path) -> None:
    """As Philips writes them: only the third value of ImageType tells the contrasts apart."""
    classic = load_study(tmp_path / "classic")
    (tmp_path / "legacy").mkdir()
    series = list(by_series(files))
    for station in (0, 1):
        images = [image for group in series[4 * station : 4 * station + 4] for image in group]
        for number, image in enumerate(images, start=1):
            image.SeriesInstanceUID, image.SeriesNumber = f"{ROOT}.6.{station}", 60 + station
            image.SeriesDescription, image.InstanceNumber = "mDIXON", number
            word = PHILIPS[image.ImageType[-1]]
            image.ImageType = ["DERIVED", "PRIMARY", word, word, "DERIVED"]
        write(converted(images), tmp_path / "legacy" / f"{station}.dcm")
    assert signal(load_study(tmp_path / "legacy")) == signal(classic)


def test_a_conversion_beside_its_images_is_the_same_scan(files: list[Path], tmp_path: Path) -> None:
    """An archive may keep both. highdicom leaves out the last values of ImageType, so that they look like two kinds."""
    classic = load_study(tmp_path / "classic")
    for images in by_series(files):
        write(converted(images), tmp_path / "classic" / f"{images[0].SeriesNumber}.legacy.dcm")
    both = load_study(tmp_path / "classic")
    assert signal(both) == signal(classic)
    assert {flag.severity for flag in both.flags} == {"info"}


def test_a_part_of_the_study_converted(files: list[Path], tmp_path: Path) -> None:
    classic = load_study(tmp_path / "classic")
    water = {series_number(Contrast.WATER, station) for station in (0, 1)}
    for images in by_series(files):
        if images[0].SeriesNumber in water:
            write(converted(images), tmp_path / "classic" / f"{images[0].SeriesNumber}.legacy.dcm")
            for file in files:
                if file.name.split(".")[1] == str(images[0].SeriesNumber):
                    file.unlink()
    assert signal(load_study(tmp_path / "classic")) == signal(classic)
