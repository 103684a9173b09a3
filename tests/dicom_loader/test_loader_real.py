"""Real Siemens Enhanced MR: lower legs, two-point Dixon, one slightly oblique station."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from tests.real_data import real_dixon_folder

pytestmark = pytest.mark.real_data

FOLDERS = {
    Contrast.OPPOSED: "012_dixon_2echo_RR_opp",
    Contrast.IN: "014_dixon_2echo_RR_in",
    Contrast.FAT: "016_dixon_2echo_RR_F",
    Contrast.WATER: "018_dixon_2echo_RR_W",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_dixon_folder()


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load_study(folder)


def voxels(study: Study, contrast: Contrast) -> np.ndarray:
    return next(station.voxels for station in study.stations if station.contrast == contrast)


def test_one_station_of_four_magnitude_contrasts(study: Study) -> None:
    assert {s.contrast: s.series_number for s in study.stations} == {c: int(n[:3]) for c, n in FOLDERS.items()}
    assert {s.voxels.shape for s in study.stations} == {(150, 104, 256)}
    assert len({s.frame_of_reference_uid for s in study.stations}) == 1
    first = study.stations[0]
    assert all(s.grid.same_as(first.grid) for s in study.stations)
    assert first.acquired is not None
    assert first.acquired.date() == datetime(2025, 1, 21).date()
    assert study.height_m == 1.75
    (flag,) = study.flags
    assert flag.code == "ignored-series"
    assert "4 of them phase images" in flag.message


@pytest.mark.parametrize("contrast", FOLDERS)
def test_voxels_and_places_are_those_that_simpleitk_reads(study: Study, folder: Path, contrast: Contrast) -> None:
    station = next(s for s in study.stations if s.contrast == contrast)
    theirs = SimpleITK.ReadImage(str(folder / FOLDERS[contrast] / "image0001.dcm"))
    np.testing.assert_array_equal(station.voxels, SimpleITK.GetArrayFromImage(theirs))
    np.testing.assert_allclose(station.grid.spacing_mm, theirs.GetSpacing(), atol=1e-3)
    x, y, z = theirs.GetSize()
    for index in [(0, 0, 0), (x - 1, 0, 0), (0, y - 1, 0), (0, 0, z - 1), (x // 2, y // 2, z // 2)]:
        ours = (station.grid.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(ours, theirs.TransformIndexToPhysicalPoint(index), atol=0.05)


def test_in_phase_is_the_sum_of_water_and_fat(study: Study) -> None:
    water, fat, in_phase = (voxels(study, c) for c in (Contrast.WATER, Contrast.FAT, Contrast.IN))
    body = in_phase > 60
    ratio = (water + fat)[body] / in_phase[body]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)


def test_fat_fraction_is_high_under_the_skin_and_low_in_muscle(study: Study) -> None:
    water, fat, in_phase = (voxels(study, c) for c in (Contrast.WATER, Contrast.FAT, Contrast.IN))
    middle = slice(60, 90)
    water, fat, in_phase = water[middle], fat[middle], in_phase[middle]
    body = np.stack([ndimage.binary_fill_holes(image > 40) for image in in_phase])
    fraction = fat / np.maximum(water + fat, 1)
    depth = np.stack([ndimage.distance_transform_edt(image) for image in body])
    under_skin = (depth >= 2) & (depth <= 3)
    deep_muscle = (depth >= 8) & (water > 2 * fat)
    assert np.median(fraction[under_skin]) > 0.7
    assert np.median(fraction[deep_muscle]) < 0.12
    assert deep_muscle.sum() > 0.5 * (depth >= 8).sum()
