"""A real PACS on this machine: Orthanc with its DICOMweb plugin, on free ports, in a temporary folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

__all__ = ["Pacs", "free_port", "needs_orthanc", "orthanc", "store_by_dimse"]

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AE_TITLE = "ORTHANC"
_START_SECONDS = 30

needs_orthanc = pytest.mark.skipif(
    not (shutil.which("Orthanc") and shutil.which("storescu") and PLUGIN.is_file()),
    reason="Orthanc with DICOMweb and DCMTK are not installed (tests/install_pacs.sh)",
)


@dataclass(frozen=True)
class Pacs:
    """Addresses of a running Orthanc."""

    http_port: int
    dicom_port: int
    scheme: str = "http"
    verify: str | bool = True
    login: tuple[str, str] | None = None

    @property
    def root(self) -> str:
        return f"{self.scheme}://localhost:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.root}/dicom-web"

    def get(self, path: str, **arguments: Any) -> requests.Response:
        answer = requests.get(f"{self.root}{path}", auth=self.login, verify=self.verify, timeout=60, **arguments)
        answer.raise_for_status()
        return answer

    def find(self, level: str, **keys: str) -> list[str]:
        """Orthanc's own identifiers of matching objects, not from DICOMweb."""
        asked: dict[str, Any] = {"Level": level, "Query": keys}
        answer = requests.post(f"{self.root}/tools/find", json=asked, auth=self.login, verify=self.verify, timeout=60)
        answer.raise_for_status()
        found: list[str] = answer.json()
        return found

    def count(self) -> int:
        """Number of stored instances."""
        return int(self.get("/statistics").json()["CountInstances"])


@contextmanager
def orthanc(folder: Path, lua: str | None = None, **settings: Any) -> Iterator[Pacs]:
    """Start Orthanc, wait until it answers, and stop it at the end.

    Parameters
    ----------
    folder : Path
        Folder for storage, configuration and log.
    lua : str, optional
        A script of callbacks, such as ``ReceivedInstanceFilter``.
    **settings
        Further settings of Orthanc.
    """
    folder.mkdir(parents=True, exist_ok=True)
    http_port, dicom_port = free_port(), free_port()
    configuration: dict[str, Any] = {
        "Name": "SarcoMAP tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "DicomPort": dicom_port,
        "DicomAet": AE_TITLE,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "SyncStorageArea": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **settings,
    }
    if lua is not None:
        (folder / "callbacks.lua").write_text(lua, encoding="utf-8")
        configuration["LuaScripts"] = [str(folder / "callbacks.lua")]
    (folder / "orthanc.json").write_text(json.dumps(configuration), encoding="utf-8")
    users: Mapping[str, str] = settings.get("RegisteredUsers", {})
    pacs = Pacs(http_port, dicom_port, login=next(iter(users.items()), None))
    with (folder / "orthanc.log").open("wb") as log:
        server = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT, env=_without_delay()
        )
        try:
            _wait_until_up(server, (http_port, dicom_port), folder / "orthanc.log")
            yield pacs
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def store_by_dimse(pacs: Pacs, *paths: Path, called: str = AE_TITLE) -> subprocess.CompletedProcess[str]:
    """Send with DCMTK's ``storescu``; ``-R`` proposes only the SOP classes of the files."""
    return subprocess.run(
        ["storescu", "-v", "-R", "-aec", called, "+sd", "+r", "127.0.0.1", str(pacs.dicom_port), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=_without_delay(),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _without_delay() -> dict[str, str]:
    """Switch off Nagle's algorithm in DCMTK: with it, an object takes 90 ms instead of 5."""
    return os.environ | {"TCP_NODELAY": "1"}


def _wait_until_up(server: subprocess.Popen[bytes], ports: tuple[int, ...], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    waiting = set(ports)
    while waiting:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Orthanc did not start:\n{log.read_text(errors='replace')[-2000:]}")
        for port in tuple(waiting):
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    waiting.discard(port)
        time.sleep(0.05)
