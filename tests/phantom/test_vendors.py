"""Every vendor's study is valid DICOM, loads to the same signal and says what told its contrasts."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from operators.core.volume import Study
from operators.dicom_loader import load_study
from phantom import write_study
from phantom.options import VendorName
from phantom.station_geometry import archive_stations, coarser
from phantom.vendors.files import VENDORS
from tests.dciodvfy import errors
from tests.phantom.vendor_studies import LARGEST_DIFFERENCE, TOLD_BY, largest_difference, write_vendor

STATIONS = 1


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return load_study(write_vendor(tmp_path_factory.mktemp("siemens") / "dicom", "siemens", STATIONS))


def test_every_vendor_is_offered_and_tested() -> None:
    assert {*VENDORS, "composed"} == set(get_args(VendorName)) == {*TOLD_BY, "composed"}


@pytest.mark.parametrize("vendor", list(VENDORS))
def test_a_vendors_study_is_valid_and_loads_to_the_same_signal(vendor: str, tmp_path: Path, reference: Study) -> None:
    folder = write_vendor(tmp_path / "dicom", vendor, STATIONS)
    files = sorted(folder.rglob("*.dcm"))
    assert [error for file in (files[0], files[-1]) for error in errors(file)] == []
    study = load_study(folder)
    assert largest_difference(study, reference) <= LARGEST_DIFFERENCE[vendor]
    assert {station.contrast_told_by for station in study.stations} == {TOLD_BY[vendor]}
    for station in study.stations:
        said = station.contrast_evidence
        assert said[TOLD_BY[vendor]] == station.contrast.value
        assert said["echo time"] == ("opp" if station.contrast.value == "opp" else "in")
    warnings = {flag.code for flag in study.flags if flag.severity != "info"}
    assert warnings == ({"contrast-told-by-images", "series-uid-per-image"} if vendor == "canon" else set())


def test_a_study_can_be_asked_for_by_vendor_and_as_one_zip(tmp_path: Path) -> None:
    stations = coarser(archive_stations(1))
    written = write_study(
        tmp_path, seed=11, vendor="ge", stations=stations, zip_archive=True, tissue_spacing_mm=(8.0, 8.0, 8.0)
    )
    study = load_study(written.dicom)
    assert {station.series_description for station in study.stations} == {
        f"{front}: Ax LAVA-Flex" for front in ("WATER", "FAT", "InPhase", "OutPhase")
    }
    assert {station.acquisition["Manufacturer"] for station in study.stations} == {"GE MEDICAL SYSTEMS"}
    assert all("phantom" in station.acquisition["ManufacturerModelName"] for station in study.stations)


@pytest.mark.parametrize("vendor", ["philips", "philips-enhanced"])
def test_philips_states_one_scale_for_all_contrasts(vendor: str, tmp_path: Path) -> None:
    study = load_study(write_vendor(tmp_path / "dicom", vendor, STATIONS))
    scales = [station.private_scale for station in study.stations]
    assert scales == pytest.approx([1.08083028083028 * 0.0190212] * len(scales), rel=1e-5)
    assert {station.contrast_evidence["private tag"] for station in study.stations} == {"in", "opp", "water", "fat"}
