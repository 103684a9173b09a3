"""Our service understands the compose file. Whether Docker understands it is not tested here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from app.serve.settings_file import read_settings

FOLDER = Path(__file__).parents[2] / "container"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_the_service_takes_its_settings_file(monkeypatch: pytest.MonkeyPatch) -> None:
    service = COMPOSE["services"]["sarcomap"]
    for name in ("SARCOMAP_DICOMWEB_USER", "SARCOMAP_DICOMWEB_PASSWORD", "SARCOMAP_DICOMWEB_PLAIN_HTTP"):
        monkeypatch.setenv(name, service["environment"][name])
    settings = read_settings(FOLDER / "serve.yaml", {})
    assert settings.destinations[0].access().url == "http://orthanc:8042/dicom-web"
    assert service["ports"] == [f"127.0.0.1:{settings.dicom.port}:{settings.dicom.port}"]
    assert f"queue:{settings.spool}" in service["volumes"]


def test_nothing_is_published_beyond_this_machine_and_no_password_is_written_down() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert COMPOSE["services"]["sarcomap"]["read_only"] is True
    assert COMPOSE["services"]["sarcomap"]["environment"]["SARCOMAP_DICOMWEB_PASSWORD"].startswith("${")


def test_commands_of_the_container_that_need_no_container() -> None:
    tools = FOLDER / "tools.sh"
    assert "extract" in subprocess.run(["sh", tools, "help"], capture_output=True, text=True, check=True).stdout
    unknown = subprocess.run(["sh", tools, "fly"], capture_output=True, text=True)
    assert unknown.returncode == 2 and unknown.stderr.startswith("error: command: fly; expected run, serve")
