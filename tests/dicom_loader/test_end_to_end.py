"""One scan whose lower and upper slices are in series of their own."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from tests.dicom_loader.dicom_maker import ORDER, ROOT, SLICES, SUFFIX, stored_pixels, write_study

STATIONS = 2


def in_pieces(
    folder: Path, *, contrasts: Container[Contrast] = ORDER, cut: int = 3, time: str = "", pieces: int = 2
) -> Study:
    """The slices of the upper station in several series; ``time`` replaces the time of each station's scan."""
    split = {f"Dixon_noBH_{SUFFIX[contrast]}" for contrast in ORDER if contrast in contrasts}

    def change(header: Dataset) -> None:
        upper = header.SeriesNumber < 2 + len(ORDER)
        header.AcquisitionDate, header.AcquisitionTime = "20260301", time or ("100000" if upper else "100500")
        piece = min((int(header.InstanceNumber) - 1) // cut, pieces - 1)
        if upper and piece and header.SeriesDescription in split:
            header.SeriesInstanceUID = f"{ROOT}.7.{piece}.{header.SeriesNumber}"
            header.SeriesNumber += 100 * piece
            header.SOPInstanceUID = f"{ROOT}.8.{header.SeriesNumber}.{header.InstanceNumber}"

    write_study(folder, stations=STATIONS, change=change)
    return load_study(folder)


def assert_whole(study: Study) -> None:
    assert len(study.stations) == STATIONS * len(ORDER)
    for number, station in enumerate(study.stations):
        for k in range(SLICES):
            np.testing.assert_array_equal(station.voxels[k], stored_pixels(station.contrast, number // len(ORDER), k))
    assert [(flag.code, flag.severity) for flag in study.flags] == [("split-series", "info")]


@pytest.mark.parametrize(("cut", "pieces"), [(3, 2), (2, 2), (4, 2), (2, 3)])
def test_pieces_of_one_scan_are_one_stack(tmp_path: Path, cut: int, pieces: int) -> None:
    assert_whole(in_pieces(tmp_path, cut=cut, pieces=pieces))


@pytest.mark.parametrize("contrasts", [{Contrast.WATER}, {Contrast.IN, Contrast.OPPOSED}])
def test_pieces_are_put_together_where_another_contrast_is_whole(tmp_path: Path, contrasts: set[Contrast]) -> None:
    assert_whole(in_pieces(tmp_path, contrasts=contrasts, time="100000"))


def test_stations_that_abut_stay_stations_where_nothing_says_that_they_are_one_scan(tmp_path: Path) -> None:
    study = in_pieces(tmp_path, time="100000")
    assert len(study.stations) == (STATIONS + 1) * len(ORDER)
    assert "split-series" not in {flag.code for flag in study.flags}


def test_stations_that_abut_and_were_scanned_one_after_the_other_stay_stations(tmp_path: Path) -> None:
    def change(header: Dataset) -> None:
        station = (header.SeriesNumber - 2) // len(ORDER)
        header.AcquisitionDate, header.AcquisitionTime = "20260301", f"10{station:02d}00"
        header.ImagePositionPatient = [-30, -20, 100 - 24 * station + 4 * (header.InstanceNumber - 1)]

    write_study(tmp_path, stations=STATIONS, change=change)
    assert len(load_study(tmp_path).stations) == STATIONS * len(ORDER)
