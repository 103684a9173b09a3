"""Faults of headers and of series: what the loader and the fusion make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from operators.core.errors import SarcoMapError
from operators.core.volume import Contrast, Study
from operators.dicom_loader import load_study
from operators.station_fusion import find_positions
from operators.station_fusion.contrast_scales import on_one_scale
from phantom.acquisition import acquire_study
from phantom.archive import write_folder
from phantom.dicom_files import dicom_files
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.faults import apply_faults
from tests.phantom.slab_body import COARSE_STATIONS, slab_body

PATIENT = Patient("9000003", "F", 71.6, 158.25, 61.3)
VICTIM = 3  # the second station from below, of four

Load = Callable[[str], Study]


@pytest.fixture(scope="module")
def series() -> list[Series]:
    return series_of_study(acquire_study(slab_body(), COARSE_STATIONS, AcquisitionOptions.exact(), seed=3), seed=3)


@pytest.fixture
def load(series: list[Series], tmp_path: Path) -> Load:
    def with_fault(name: str) -> Study:
        faulty, _ = apply_faults(series, [name] if name else [], seed=3)
        files = (file for one in faulty for file in dicom_files(one, PATIENT))
        folder = write_folder(files, tmp_path / (name or "sound"))
        return load_study(folder, one_frame_of_reference=name == "frame-per-series")

    return with_fault


def codes(study: Study) -> set[str]:
    return {flag.code for flag in study.flags}


def voxels(study: Study) -> dict[tuple[Contrast, float], np.ndarray]:
    return {(s.contrast, round(s.z_range_mm[0])): s.voxels for s in study.stations}


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("one-series", "several-stacks-in-series"),
        ("no-preamble", ""),
        ("jp2-header", ""),
        ("padded-jpeg", ""),
        ("ge-names", ""),
        ("frame-per-series", "frames-of-reference-joined"),
        ("odd-uid", "identifier-replaced"),
        ("typed-values", "header-value-repaired"),
    ],
)
def test_stations_are_those_of_the_sound_study(load: Load, name: str, flag: str) -> None:
    sound, found = load(""), load(name)
    assert voxels(found).keys() == voxels(sound).keys()
    for key, expected in voxels(sound).items():
        np.testing.assert_array_equal(voxels(found)[key], expected)
    assert (codes(found) - codes(sound) == {flag}) if flag else (codes(found) == codes(sound))
    assert found.height_m == pytest.approx(1.58, abs=0.01)


def test_the_signal_is_multiplied(load: Load) -> None:
    sound, found = voxels(load("")), voxels(load("intensity-scale"))
    assert all(np.array_equal(found[key], 5 * sound[key]) for key in sound)


def test_another_patient_is_refused(load: Load) -> None:
    with pytest.raises(SarcoMapError, match="patient"):
        load("second-patient")


def test_water_of_another_scale_is_brought_back(load: Load) -> None:
    positions, _ = find_positions(load("water-scale").stations)
    right, _ = find_positions(load("").stations)
    corrected, flags = on_one_scale(positions)
    assert [flag.code for flag in flags] == ["water-fat-rescaled"]
    for found, expected in zip(corrected, right, strict=True):
        ratio = found.stations[Contrast.WATER].voxels.sum() / expected.stations[Contrast.WATER].voxels.sum()
        assert ratio == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", ["late-derived-images", "two-acquisitions-in-series", "post-contrast"])
def test_the_four_contrasts_of_a_position_are_of_one_scan(load: Load, name: str) -> None:
    positions, flags = find_positions(load(name).stations)
    assert len(positions) == 4
    assert "duplicate-station" in [flag.code for flag in flags]
    of_two = positions[VICTIM - 1]
    signals = of_two.signals_by_contrast
    apart = np.abs(signals[Contrast.IN] - signals[Contrast.WATER] - signals[Contrast.FAT]).mean()
    assert apart < 0.02 * signals[Contrast.IN].mean()


def test_stations_below_the_knees_come_after_those_of_the_sound_study(load: Load) -> None:
    sound, found = voxels(load("")), voxels(load("lower-legs"))
    assert len(found) == len(sound) + 8
    lowest = min(z for _, z in sound)
    assert sum(z < lowest for _, z in found) == 8
    for key, expected in sound.items():
        np.testing.assert_array_equal(found[key], expected)
