"""Fetching from and storing on a real DICOMweb server."""

from __future__ import annotations

import logging
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from app.dicomweb import Access, Login, fetch_study, read_login, store_files
from app.dicomweb.access import Retry
from operators.core.errors import InputError, OutputError, UsageError
from operators.dicom_loader.source import ArchiveLimits
from tests.pacs.orthanc import Pacs, free_port, needs_orthanc, orthanc, store_by_dimse
from tests.pacs.relay import relay
from tests.pacs.small_study import other_series, study_uid

pytestmark = needs_orthanc

AT_ONCE = Retry(attempts=4, first_wait_s=0.01)
ABSENT = "1.2.826.0.1.3680043.8.498.1"
TOKEN, PASSWORD = "t0ken-4711-not-to-be-seen", "passw0rd-0815-not-to-be-seen"


@pytest.fixture(scope="module")
def filled(pacs: Pacs, slices: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Series sent by ``storescu``: those of a station, and three that must not be fetched."""
    others = tmp_path_factory.mktemp("others") / "dicom"
    uids = other_series(slices, others)
    done = store_by_dimse(pacs, slices, others)
    assert done.returncode == 0, done.stderr
    assert pacs.count() == 16 + 3
    return uids


def access(pacs: Pacs, **arguments: object) -> Access:
    return Access(pacs.dicomweb, retry=AT_ONCE, **arguments)  # type: ignore[arg-type]


def objects(folder: Path) -> dict[str, pydicom.Dataset]:
    found = [pydicom.dcmread(file) for file in folder.rglob("*.dcm")]
    return {str(item.SOPInstanceUID): item for item in found}


def test_dixon_series_come_back_as_they_were_sent_and_no_others(
    pacs: Pacs, filled: dict[str, str], slices: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    count = fetch_study(access(pacs), study_uid(slices), tmp_path, lambda done, total: seen.append((done, total)))
    came, sent = objects(tmp_path), objects(slices)
    assert count == len(came) == 16
    assert {item.SeriesInstanceUID for item in came.values()}.isdisjoint(filled.values())
    for uid, item in sent.items():
        assert came[uid] == item and came[uid].file_meta.TransferSyntaxUID == item.file_meta.TransferSyntaxUID
    assert seen == [(n, 16) for n in range(1, 17)]


def test_a_broken_connection_is_tried_again_and_nothing_comes_twice(
    pacs: Pacs, filled: dict[str, str], slices: Path, tmp_path: Path
) -> None:
    breaks = [9_000, 15_000]
    with relay(pacs.http_port, breaks) as port:
        relayed = Access(f"http://127.0.0.1:{port}/dicom-web", retry=AT_ONCE)
        assert fetch_study(relayed, study_uid(slices), tmp_path) == 16
    assert breaks == []  # both happened
    assert objects(tmp_path).keys() == objects(slices).keys()


def test_a_connection_that_breaks_each_time_is_an_error_and_leaves_nothing(
    pacs: Pacs, filled: dict[str, str], slices: Path, tmp_path: Path
) -> None:
    with relay(pacs.http_port, [9_000] * 50) as port:
        relayed = Access(f"http://127.0.0.1:{port}/dicom-web", retry=AT_ONCE)
        with pytest.raises(InputError, match="broke|came"):
            fetch_study(relayed, study_uid(slices), tmp_path)
    assert objects(tmp_path) == {}


def test_a_study_that_the_server_does_not_have(pacs: Pacs, filled: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study with this Study Instance UID"):
        fetch_study(access(pacs), ABSENT, tmp_path)


def test_a_study_without_dixon_series(pacs: Pacs, slices: Path, tmp_path: Path) -> None:
    item = pydicom.dcmread(next(slices.rglob("*.dcm")))
    item.SeriesDescription, item.ProtocolName = "t2_haste", "t2_haste"
    item.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(item, keyword, pydicom.uid.generate_uid())
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.save_as(tmp_path / "t2.dcm")
    store_files(access(pacs), [tmp_path / "t2.dcm"])
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="no Dixon MR among the study's 1 series"):
        fetch_study(access(pacs), str(item.StudyInstanceUID), tmp_path / "out")


def test_an_unreachable_server(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        fetch_study(Access(f"http://127.0.0.1:{free_port()}/dicom-web", retry=AT_ONCE), ABSENT, tmp_path)


def test_an_address_that_is_not_a_dicomweb_root(pacs: Pacs, tmp_path: Path) -> None:
    for path in ("/nothing", "/system"):
        with pytest.raises(InputError, match=r"not found|not DICOMweb"):
            fetch_study(Access(pacs.root + path, retry=AT_ONCE), ABSENT, tmp_path)


@pytest.mark.parametrize("limits", [ArchiveLimits(max_members=10), ArchiveLimits(max_total_bytes=20_000)])
def test_a_study_beyond_the_limits_is_not_fetched_to_the_end(
    pacs: Pacs, filled: dict[str, str], slices: Path, tmp_path: Path, limits: ArchiveLimits
) -> None:
    with pytest.raises(InputError, match="more than a neck-to-knee study holds"):
        fetch_study(access(pacs), study_uid(slices), tmp_path, limits=limits)


def test_what_the_server_refuses_is_named_and_the_rest_is_stored(slices: Path, tmp_path: Path) -> None:
    files = sorted(slices.rglob("*.dcm"))[:3]
    refused = pydicom.dcmread(files[1], stop_before_pixels=True).SOPInstanceUID
    lua = f"""function ReceivedInstanceFilter(dicom, origin, info)
        return dicom.SOPInstanceUID ~= '{refused}'
    end"""
    with orthanc(tmp_path / "orthanc", lua=lua) as pacs:
        with pytest.raises(OutputError, match=f"refused 1 of 3 objects: {files[1].name}"):
            store_files(access(pacs), files)
        assert pacs.count() == 2


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    """An Orthanc that requires a user, behind TLS with its own certificate."""
    folder = tmp_path_factory.mktemp("closed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "server.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem", folder / "key.pem")
    with (
        orthanc(folder, RegisteredUsers={"reader": PASSWORD}, AuthenticationEnabled=True) as running,
        relay(running.http_port, tls=tls) as port,
    ):
        yield replace(running, http_port=port, scheme="https", verify=str(folder / "server.pem"))


def test_basic_authentication_over_verified_tls(closed: Pacs, slices: Path, tmp_path: Path) -> None:
    ca = Path(str(closed.verify))
    login = read_login(environment={"SARCOMAP_DICOMWEB_USER": "reader", "SARCOMAP_DICOMWEB_PASSWORD": PASSWORD})
    server = access(closed, login=login, ca_bundle=ca)
    assert store_files(server, sorted(slices.rglob("*.dcm"))) == 16
    assert fetch_study(server, study_uid(slices), tmp_path) == 16


def test_an_unknown_certificate_is_refused_before_anything_is_sent(closed: Pacs, slices: Path, tmp_path: Path) -> None:
    login = Login(user="reader", password=PASSWORD)
    with pytest.raises(InputError, match=r"certificate cannot be verified.*--dicomweb-ca"):
        fetch_study(access(closed, login=login), study_uid(slices), tmp_path)


@pytest.mark.parametrize("login", [Login(), Login(user="reader", password=TOKEN), Login(token=TOKEN)])
def test_a_missing_or_wrong_login_is_told_without_repeating_it(
    closed: Pacs, slices: Path, tmp_path: Path, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = access(closed, login=login, ca_bundle=Path(str(closed.verify)))
    with pytest.raises(InputError, match="access denied") as fetching:
        fetch_study(server, study_uid(slices), tmp_path)
    with pytest.raises(OutputError, match="access denied") as storing:
        store_files(server, sorted(slices.rglob("*.dcm"))[:1])
    everything = caplog.text + str(fetching.getrepr()) + str(storing.getrepr()) + repr(server)
    assert TOKEN not in everything and PASSWORD not in everything


def test_a_bearer_token_gives_access(slices: Path, tmp_path: Path) -> None:
    lua = f"""function IncomingHttpRequestFilter(method, uri, ip, username, headers)
        return headers['authorization'] == 'Bearer {TOKEN}'
    end"""
    file = tmp_path / "login.yaml"
    file.write_text(f"token: {TOKEN}\n", encoding="utf-8")
    file.chmod(0o600)
    with orthanc(tmp_path / "orthanc", lua=lua) as pacs:
        with pytest.raises(OutputError, match="access denied"):
            store_files(access(pacs), sorted(slices.rglob("*.dcm")))
        server = access(pacs, login=read_login(file))
        assert store_files(server, sorted(slices.rglob("*.dcm"))) == 16
        (tmp_path / "out").mkdir()
        assert fetch_study(server, study_uid(slices), tmp_path / "out") == 16


@pytest.mark.parametrize(
    "text",
    [f"token: {TOKEN}\n  user: [", f"user: {TOKEN}", f"tokn: {TOKEN}", f"- {TOKEN}", f"token: a {TOKEN}", f"{TOKEN}"],
)
def test_a_login_file_of_another_shape_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "login.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_login(file)
    assert TOKEN not in str(refused.getrepr())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"https://reader:{PASSWORD}@pacs.example/dicom-web", "URL contains a user or password"),
        ("ftp://pacs.example/dicom-web", "not the address of a service"),
        ("pacs.example/dicom-web", "not the address of a service"),
        ("http://pacs.example/dicom-web", "login would be sent over http"),
    ],
)
def test_an_address_that_will_not_do(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        Access(url, Login(token=TOKEN))
    assert PASSWORD not in str(refused.value) and TOKEN not in str(refused.value)
