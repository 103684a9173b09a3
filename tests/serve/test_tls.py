"""DICOM TLS: senders without a known certificate are refused, whatever their AE title."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.association import Association

from tests.serve.service import Served, serving


def certificate(folder: Path, name: str) -> None:
    """``name.pem`` and ``name.key``, self-signed."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("service", "scanner", "stranger"):
        certificate(folder, name)
    return folder


@pytest.fixture(scope="module")
def served(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tls = {"tls_certificate": "service.pem", "tls_key": "service.key", "tls_ca": "scanner.pem"}
    dicom = {"allowed_ae_titles": ["SCANNER"], **{name: str(keys / file) for name, file in tls.items()}}
    with serving(tmp_path_factory.mktemp("serve"), dicom=dicom) as running:
        yield running


def associate(served: Served, image: pydicom.Dataset, tls: ssl.SSLContext | None) -> Association:
    entity = AE(ae_title="SCANNER")
    entity.acse_timeout = entity.network_timeout = 10
    entity.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    return entity.associate("127.0.0.1", served.port, ae_title="SARCOMAP", tls_args=(tls, "localhost") if tls else None)


def client(keys: Path, name: str | None, trusts: str = "service") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(keys / f"{trusts}.pem"))
    if name:
        context.load_cert_chain(keys / f"{name}.pem", keys / f"{name}.key")
    return context


@pytest.fixture(scope="module")
def image(slices: Path) -> pydicom.Dataset:
    return pydicom.dcmread(next(slices.rglob("*.dcm")))


def test_a_sender_with_a_known_certificate_is_accepted(served: Served, keys: Path, image: pydicom.Dataset) -> None:
    association = associate(served, image, client(keys, "scanner"))
    assert association.is_established
    assert association.send_c_store(image).Status == 0x0000
    association.release()
    assert served.names("incoming")


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_sender_without_one_is_not(served: Served, keys: Path, image: pydicom.Dataset, name: str | None) -> None:
    before = served.metric("sarcomap_objects_received_total")
    association = associate(served, image, client(keys, name))
    assert not association.is_established
    assert served.metric("sarcomap_objects_received_total") == before


def test_without_tls_nobody_is_heard(served: Served, image: pydicom.Dataset) -> None:
    assert not associate(served, image, None).is_established


def test_a_sender_finds_out_that_the_service_is_another(served: Served, keys: Path, image: pydicom.Dataset) -> None:
    assert not associate(served, image, client(keys, "scanner", trusts="stranger")).is_established
