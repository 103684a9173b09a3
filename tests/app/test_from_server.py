"""A study from a server: where it is kept during the run, and what is sent back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import app.dicomweb
from app.dicomweb import Access
from app.dicomweb_options import DicomwebOptions
from app.from_server import fetched, send_back
from app.study_command import StudyCommand, dicomweb_access, refuse_early
from operators.core.errors import OutputError
from operators.core.options import DeidentificationOptions, OptionError, RunOptions

HERE = Access("http://127.0.0.1:1")


def results(output: Path) -> list[Path]:
    files = [output / "derived" / "water" / "0001.dcm", output / "segmentation.dcm", output / "report.sr.dcm"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"DICM")
    return files


def test_the_runs_results_are_sent_whatever_the_clock_says_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = results(tmp_path)
    results(tmp_path / "another run")
    for file in files:
        os.utime(file, (0, 0))
    sent: list[Path] = []

    def store(access: Access, files: Sequence[Path]) -> int:
        sent.extend(files)
        return len(files)

    monkeypatch.setattr(app.dicomweb, "store_files", store)
    send_back(HERE, tmp_path, quiet=True)
    assert sent == files


def test_nothing_to_send_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no DICOM results"):
        send_back(HERE, tmp_path, quiet=True)


def test_the_study_lies_hidden_in_the_output_folder_and_goes_when_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(access: Access, study_uid: str, folder: Path, progress: object) -> int:
        (folder / "1.dcm").write_bytes(b"DICM")
        return 1

    monkeypatch.setattr(app.dicomweb, "fetch_study", fetch)
    output = tmp_path / "out"
    with fetched(HERE, "1.2.3", output, quiet=True) as folder:
        assert (folder / "1.dcm").exists()
        assert folder.relative_to(output).parts[0].startswith(".sarcomap-")  # the next run removes such folders
    assert not output.exists()


def test_images_in_the_clear_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert dicomweb_access(DicomwebOptions("http://pacs.example", "1.2")) is not None
    assert "not https" in capsys.readouterr().err
    dicomweb_access(DicomwebOptions("https://pacs.example", "1.2"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("given", [{"stow": True}, {"dicomweb": "https://pacs.example"}])
def test_contradictory_server_options_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        DicomwebOptions(**given)


def test_deidentification_without_a_key_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RunOptions(deidentification=DeidentificationOptions(deidentify=True))
    monkeypatch.delenv("SARCOMAP_DEIDENTIFY_KEY", raising=False)
    refuse_early(options, StudyCommand())
    assert "without a secret key" in capsys.readouterr().err
    monkeypatch.setenv("SARCOMAP_DEIDENTIFY_KEY", "secret")
    refuse_early(options, StudyCommand())
    assert capsys.readouterr().err == ""
