"""`sarcomap compare` on two reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from operators.core.phenotypes import PHENOTYPES
from sarcomap.__main__ import main


def report(folder: Path, tmv_cm3: float) -> Path:
    folder.mkdir()
    content = {
        "schema_version": "1.2.0",
        "created_utc": "2026-01-01T00:00:00Z",
        "study": {"pseudonym": "1000123"},
        "model": {"name": "network", "version": "1"},
        "software": {"name": "sarcomap", "version": "1"},
        "phenotypes": {**dict.fromkeys(PHENOTYPES), "tmv_cm3": tmv_cm3},
    }
    (folder / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_change_is_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = report(tmp_path / "a", 8000.0), report(tmp_path / "b", 7000.0)
    page, record = tmp_path / "change.html", tmp_path / "change.json"
    assert main(["compare", str(before), str(after), "--html", str(page), "--json", str(record)]) == 0
    assert "decrease" in capsys.readouterr().out
    found = json.loads(record.read_text(encoding="utf-8"))["changes"]
    assert set(found) == {"tmv_cm3"}
    assert found["tmv_cm3"]["smallest_detectable_change"] == pytest.approx(8000 * 0.0416, rel=0.01)
    assert "Total muscle volume" in page.read_text(encoding="utf-8")


def test_what_else_changed_is_named_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = report(tmp_path / "a", 8000.0), report(tmp_path / "b", 7000.0)
    file = after / "report.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, "options": {"fusion": {"blend": "linear"}}}), encoding="utf-8")
    page = tmp_path / "change.html"
    assert main(["compare", str(before), str(after), "--html", str(page)]) == 0
    assert "the options of fusion changed between the reports" in capsys.readouterr().out
    assert "the options of fusion changed." in page.read_text(encoding="utf-8")


def test_muscles_of_one_side_are_not_silently_compared_with_those_of_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = report(tmp_path / "a", 8000.0), report(tmp_path / "b", 7900.0)
    for folder, right in zip(folders, (100.0, None), strict=True):
        file = folder / "report.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        one = {"display_name": "Sartorius", "volume_cm3": 200.0, "left_cm3": 100.0, "right_cm3": right}
        file.write_text(json.dumps({**content, "structures": [one]}), encoding="utf-8")
    assert main(["compare", *map(str, folders)]) == 0
    assert "what is labelled (Sartorius) changed between the reports" in capsys.readouterr().out


def test_a_file_that_is_no_report_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text("[]")
    assert main(["compare", str(tmp_path / "x.json"), str(report(tmp_path / "b", 7000.0))]) == 3
    assert "x.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "no such file or directory"), ("{", "no JSON object"), ('{"study": {}}', "an entry is missing")],
)
def test_why_a_report_cannot_be_read_is_said_in_words(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.json"
    if text is not None:
        wrong.write_text(text, encoding="utf-8")
    assert main(["compare", str(wrong), str(report(tmp_path / "b", 7000.0))]) == 3
    told = capsys.readouterr().err
    assert said in told and "Error" not in told
