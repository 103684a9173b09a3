"""One scan whose odd and even slices are in series of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from operators.dicom_loader.geometry import z_range_mm
from tests.dicom_loader.dicom_maker import ORDER, ROOT, SLICES, SPACING, stored_pixels, write_study

STATIONS = 2


def in_packages(folder: Path, stated: Mapping[str, float], *, packages: int = 2, minutes: int = 0) -> Study:
    """Every ``packages``-th slice of a series in one of its own, scanned so many minutes after the one before."""

    def change(header: Dataset) -> None:
        k = (int(header.InstanceNumber) - 1) % packages
        for keyword, value in stated.items():
            setattr(header, keyword, value)
        if k:
            header.SeriesInstanceUID = f"{ROOT}.7.{k}.{header.SeriesNumber}"
            header.SeriesNumber += 100 * k
            header.SOPInstanceUID = f"{ROOT}.8.{header.SeriesNumber}.{header.InstanceNumber}"
        header.AcquisitionDate, header.AcquisitionTime = "20260301", f"10{minutes * k:02d}00"

    write_study(folder, stations=STATIONS, change=change)
    return load_study(folder)


def assert_whole(study: Study) -> None:
    assert len(study.stations) == STATIONS * len(ORDER)
    for number, station in enumerate(study.stations):
        assert station.grid.spacing_mm[2] == pytest.approx(SPACING[2])
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, number // len(ORDER), k))


@pytest.mark.parametrize("packages", [2, 3])
@pytest.mark.parametrize(
    "stated", [{}, {"SliceThickness": 4}, {"SpacingBetweenSlices": 4}, {"SpacingBetweenSlices": 8, "SliceThickness": 3}]
)
def test_packages_of_one_scan_are_one_stack(tmp_path: Path, packages: int, stated: dict[str, float]) -> None:
    study = in_packages(tmp_path, stated, packages=packages)
    assert_whole(study)
    assert [(flag.code, flag.severity) for flag in study.flags] == [("interleaved-series", "info")]
    assert {len(station.sop_instance_uids) for station in study.stations} == {SLICES}


def test_packages_that_were_scanned_one_after_the_other_are_one_stack(tmp_path: Path) -> None:
    assert_whole(in_packages(tmp_path, {"SliceThickness": 4, "SpacingBetweenSlices": 4}, minutes=3))


@pytest.mark.parametrize(
    ("minutes", "stated"),
    [
        (5, {"SliceThickness": 8, "SpacingBetweenSlices": 8}),
        (0, {"SliceThickness": 8}),
        (5, {}),
        (30, {"SliceThickness": 4, "SpacingBetweenSlices": 4}),
    ],
)
def test_a_scan_that_was_repeated_half_a_slice_away_is_not_mixed_with_the_first(
    tmp_path: Path, minutes: int, stated: dict[str, float]
) -> None:
    study = in_packages(tmp_path, stated, minutes=minutes)
    assert len(study.stations) == 2 * STATIONS * len(ORDER)
    assert all(flag.code != "interleaved-series" for flag in study.flags)


def test_neighbouring_stations_are_not_packages(tmp_path: Path) -> None:
    write_study(tmp_path, stations=3)
    study = load_study(tmp_path)
    assert study.flags == ()
    lows = [z_range_mm(s.grid)[0] for s in study.stations if s.contrast is Contrast.WATER]
    assert lows == [100.0, 80.0, 60.0]
