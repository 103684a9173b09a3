"""A study is sent to a PACS and processed from there, and its results are found there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from app.from_server import dicom_results
from app.serve.sender import store_by_dimse as store_with_pynetdicom
from tests.app.made_study import ROOT, clean_environment
from tests.pacs.orthanc import AE_TITLE, Pacs, free_port, needs_orthanc, orthanc, store_by_dimse
from tests.pacs.small_study import SECRETS, study_uid

pytestmark = [needs_orthanc, pytest.mark.slow]

PASSWORD = "passw0rd-0815-not-to-be-seen"


@dataclass(frozen=True)
class Round:
    """A study that went through a PACS with a password."""

    pacs: Pacs
    out: Path
    study_uid: str
    said: str
    arguments_seen: str

    @property
    def client(self) -> DICOMwebClient:
        import requests

        session = requests.Session()
        session.auth = self.pacs.login
        return DICOMwebClient(self.pacs.dicomweb, session=session)


def app(*arguments: object, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run ``python -m app`` in a process; returns exit code, output and the command line that others could read."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment() | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(1)
    seen = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    said, _ = process.communicate(timeout=500)
    return process.returncode, said, seen


@pytest.fixture(scope="module")
def done(study: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Round:  # type: ignore[misc]
    folder = tmp_path_factory.mktemp("round")
    login = folder / "login.yaml"
    login.write_text(f"user: reader\npassword: {PASSWORD}\n", encoding="utf-8")
    login.chmod(0o600)
    temporary = folder / "tmp"
    temporary.mkdir()
    with orthanc(folder / "orthanc", RegisteredUsers={"reader": PASSWORD}, AuthenticationEnabled=True) as pacs:
        sent = store_by_dimse(pacs, study)
        assert sent.returncode == 0, sent.stderr
        uid = study_uid(study)
        server = ["--dicomweb", pacs.dicomweb, "--study-uid", uid, "--dicomweb-auth", login, "--stow", "--pdf"]
        code, said, seen = app(
            *server, "-o", folder / "out", "-m", bundle, "-l", "DEBUG", environment={"TMPDIR": str(temporary)}
        )
        assert code == 0, said
        assert not list((folder / "out").glob(".*"))  # the patient's images are not left behind
        assert not list(temporary.glob("**/*.dcm"))
        yield Round(pacs, folder / "out", uid, said, seen)  # type: ignore[misc]


def of_this_study(done: Round, path: Path) -> Dataset:
    item = pydicom.dcmread(path)
    assert item.StudyInstanceUID == done.study_uid
    return item


def test_qido_finds_derived_series_segmentation_and_report(done: Round) -> None:
    found = {}
    for item in done.client.search_for_series(done.study_uid, fields=["SeriesDescription"]):
        series = Dataset.from_json(item)
        found[str(series.SeriesInstanceUID)] = str(series.Modality)
    sent = {str(of_this_study(done, path).SeriesInstanceUID) for path in dicom_results(done.out)}
    assert sent <= found.keys()
    assert sorted(found[uid] for uid in sent) == ["DOC", "MR", "SEG", "SR"]
    assert len(found) == 16 + 4


def test_wado_returns_equal_pixels(done: Round) -> None:
    files = dicom_results(done.out)
    images = [path for path in files if path.parent != done.out]
    assert len(images) > 50
    for path in (*images[::20], done.out / "segmentation.dcm"):
        ours = of_this_study(done, path)
        theirs = done.client.retrieve_instance(done.study_uid, ours.SeriesInstanceUID, ours.SOPInstanceUID)
        assert theirs.PixelData == ours.PixelData
        assert np.array_equal(theirs.pixel_array, ours.pixel_array)


def test_wado_returns_the_report_as_it_was(done: Round) -> None:
    ours = of_this_study(done, done.out / "report.sr.dcm")
    theirs = done.client.retrieve_instance(done.study_uid, ours.SeriesInstanceUID, ours.SOPInstanceUID)
    assert theirs.ContentSequence == ours.ContentSequence


def test_wado_returns_the_printed_page(done: Round) -> None:
    ours = of_this_study(done, done.out / "report.pdf.dcm")
    theirs = done.client.retrieve_instance(done.study_uid, ours.SeriesInstanceUID, ours.SOPInstanceUID)
    assert theirs.MIMETypeOfEncapsulatedDocument == "application/pdf"
    pdf = theirs.EncapsulatedDocument[: theirs.EncapsulatedDocumentLength]
    assert pdf == (done.out / "report.pdf").read_bytes()


def test_nothing_identifying_and_no_password_was_said(done: Round) -> None:
    for secret in (PASSWORD, *SECRETS):
        assert secret not in done.said, secret
        assert secret not in done.arguments_seen


def test_a_second_run_does_not_take_its_own_results_for_stations_and_adds_nothing(
    done: Round, bundle: Path, tmp_path: Path
) -> None:
    before = done.pacs.get("/statistics").json()
    environment = {"SARCOMAP_DICOMWEB_USER": "reader", "SARCOMAP_DICOMWEB_PASSWORD": PASSWORD}
    server = ["--dicomweb", done.pacs.dicomweb, "--study-uid", done.study_uid, "--stow"]
    code, said, _ = app(*server, "-o", tmp_path / "out", "-m", bundle, environment=environment)
    assert code == 0, said
    after = done.pacs.get("/statistics").json()
    assert after["CountInstances"] == before["CountInstances"]
    assert after["CountSeries"] == before["CountSeries"]


def test_binary_segmentation_and_the_rest_go_by_c_store(done: Round, tmp_path: Path) -> None:
    files = dicom_results(done.out)
    with orthanc(tmp_path / "other") as other:
        sent = store_by_dimse(other, *files)
        assert sent.returncode == 0, sent.stderr
        assert other.count() == len(files)
    with orthanc(tmp_path / "another") as another:
        store_with_pynetdicom(files, "127.0.0.1", another.dicom_port, AE_TITLE)
        assert another.count() == len(files)
        (segmentation,) = [path for path in files if path.name == "segmentation.dcm"]
        (stored,) = another.find("Instance", SOPInstanceUID=str(pydicom.dcmread(segmentation).SOPInstanceUID))
        copy = tmp_path / "copy.dcm"
        copy.write_bytes(another.get(f"/instances/{stored}/file").content)
        assert np.array_equal(pydicom.dcmread(copy).pixel_array, pydicom.dcmread(segmentation).pixel_array)


def test_results_stay_when_the_server_is_gone(bundle: Path, study: Path, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        assert store_by_dimse(pacs, study).returncode == 0
        out = tmp_path / "out"
        command = [sys.executable, "-m", "app", "--dicomweb", pacs.dicomweb, "--study-uid", study_uid(study), "--stow"]
        command += ["-o", str(out), "-m", str(bundle)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 300
        # Two hidden folders: one for the fetched images, one for the results.
        while len(list(out.glob(".sarcomap-*"))) < 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 5, said
    assert "cannot be reached" in said and f"The results are in {out}" in said
    assert (out / "report.json").is_file() and (out / "segmentation.dcm").is_file()


def test_a_wrong_address_ends_before_anything_is_made(tmp_path: Path) -> None:
    server = ["--dicomweb", f"http://127.0.0.1:{free_port()}/dicom-web", "--study-uid", "1.2.3"]
    code, said, _ = app(*server, "-o", tmp_path / "out")
    assert code == 3 and "cannot be reached" in said and "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert os.listdir(tmp_path) == []
