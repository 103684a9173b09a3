"""The whole participant as every vendor writes it: the same fused volumes and phenotypes, from files, PACS and service.

The labels are the true ones, so that the network cannot be the cause of a difference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.dicomweb.access import Access
from app.dicomweb.retrieve import fetch_study
from operators.core.options import FusionOptions
from operators.core.volume import Fused, Volume
from operators.dicom_loader import load_study
from operators.phenotype_report import measure
from operators.phenotype_report.measurements import Phenotypes
from operators.station_fusion import fuse
from phantom.acquisition import acquire_study
from phantom.anatomy import body_grid, build_tissues
from phantom.archive import write_folder
from phantom.dicom_series import Patient, Series, series_of_study
from phantom.dixon_signal import AcquisitionOptions
from phantom.participant import draw_participant
from phantom.station_geometry import archive_stations
from phantom.truth import Truth, count_volumes
from phantom.vendors.files import VENDORS, vendor_files
from tests.pacs.orthanc import Pacs, needs_orthanc, orthanc, store_by_dimse
from tests.pacs.small_study import study_uid
from tests.phantom.vendor_studies import LARGEST_DIFFERENCE, largest_difference, write_vendor
from tests.serve.service import serving, until

pytestmark = pytest.mark.slow

SEED = 11
OTHERS = [vendor for vendor in VENDORS if vendor != "siemens"]


@dataclass(frozen=True)
class Whole:
    """The lowest four stations at the archive's resolution, not written yet."""

    series: list[Series]
    patient: Patient
    truth: Truth

    def seen_by(self, vendor: str, folder: Path) -> tuple[Fused, Phenotypes]:
        how = VENDORS[vendor]
        study = load_study(write_folder(vendor_files(how.arrange(self.series), self.patient, how), folder))
        fused = fuse(study, FusionOptions(device="cpu"))
        labels = Volume(self.truth.labels_on(fused.grid) * fused.body, fused.grid)
        return fused, measure(labels, fused, study.height_m, study.flags).phenotypes


@pytest.fixture(scope="module")
def whole() -> Whole:
    person, stations = draw_participant(SEED), archive_stations(4)
    tissues = build_tissues(person, body_grid(person, (2.0, 2.0, 2.0)))
    volumes = count_volumes(tissues.labels, tissues.grid)
    truth = Truth(Volume(tissues.labels, tissues.grid), volumes, volumes, {}, tissues.body)
    scanned = acquire_study(tissues, stations, AcquisitionOptions(), SEED)
    patient = Patient("9000011", person.sex, person.age_years, person.height_cm, person.weight_kg)
    return Whole(series_of_study(scanned, SEED), patient, truth)


@pytest.fixture(scope="module")
def reference(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fused, Phenotypes]:
    return whole.seen_by("siemens", tmp_path_factory.mktemp("siemens") / "dicom")


@pytest.mark.parametrize("vendor", OTHERS)
def test_fused_volumes_and_phenotypes_are_those_of_the_reference(
    vendor: str, whole: Whole, reference: tuple[Fused, Phenotypes], tmp_path: Path
) -> None:
    fused, phenotypes = whole.seen_by(vendor, tmp_path / "dicom")
    expected, expected_phenotypes = reference
    for name in ("in_phase", "opposed", "water", "fat"):
        difference = np.abs(getattr(fused, name) - getattr(expected, name))
        assert difference.max() <= LARGEST_DIFFERENCE[vendor] + 1e-3, name
    given = {key: value for key, value in expected_phenotypes.items() if value is not None}
    assert len(given) > 10 and given.keys() == {key for key, value in phenotypes.items() if value is not None}
    for key, value in given.items():
        assert phenotypes[key] == pytest.approx(value, rel=0.01), key


@pytest.fixture(scope="module", params=list(VENDORS))
def coarse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The participant at a quarter of the resolution, as one vendor writes it."""
    return write_vendor(tmp_path_factory.mktemp(request.param) / "dicom", request.param)


@needs_orthanc
def test_the_study_comes_from_a_pacs_as_from_files(coarse: Path, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        sent = store_by_dimse(pacs, coarse)
        assert sent.returncode == 0, sent.stderr
        (tmp_path / "fetched").mkdir()
        count = fetch_study(Access(pacs.dicomweb), study_uid(coarse), tmp_path / "fetched")
    assert count == len(list(coarse.rglob("*.dcm")))
    assert largest_difference(load_study(tmp_path / "fetched"), load_study(coarse)) == 0


@needs_orthanc
def test_the_service_takes_the_study_and_makes_its_report(coarse: Path, bundle: Path, tmp_path: Path) -> None:
    destinations = [{"name": "results", "folder": str(tmp_path / "results")}]
    with serving(tmp_path / "serve", run={"arguments": ["-m", str(bundle)]}, destinations=destinations) as served:
        sent = store_by_dimse(Pacs(0, served.port), coarse, called="SARCOMAP")
        assert sent.returncode == 0, sent.stderr
        until(lambda: bool(served.names("done") or served.names("failed")), 240)
        assert not served.names("failed"), served.log.read_text()
    (report,) = (tmp_path / "results").rglob("report.json")
    stations = json.loads(report.read_text(encoding="utf-8"))["quality"]["stations"]
    assert [len(station["series"]) for station in stations] == [4] * 4
