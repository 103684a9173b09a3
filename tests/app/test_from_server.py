"""A study from a server: where it lies meanwhile, and what is sent back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import app.dicomweb
from app.__main__ import _parser
from app.dicomweb import Access
from app.from_server import access_from, fetched, send_back
from app.options import options_from
from operators.core.errors import OutputError

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
        assert folder.relative_to(output).parts[0].startswith(".sarcomap-")  # which the next run sweeps
    assert not output.exists()


def test_images_in_the_clear_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--dicomweb", "http://pacs.example", "--study-uid", "1.2", "-o", "out"]
    assert access_from(_parser().parse_args(arguments)) is not None
    assert "not https" in capsys.readouterr().err
    arguments[1] = "https://pacs.example"
    access_from(_parser().parse_args(arguments))
    assert capsys.readouterr().err == ""


def test_deidentification_without_a_key_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SARCOMAP_DEIDENTIFY_KEY", raising=False)
    options_from(_parser().parse_args(["--deidentify"]))
    assert "without a secret key" in capsys.readouterr().err
    monkeypatch.setenv("SARCOMAP_DEIDENTIFY_KEY", "secret")
    options_from(_parser().parse_args(["--deidentify"]))
    assert capsys.readouterr().err == ""
