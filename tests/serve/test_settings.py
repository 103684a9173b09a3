"""Settings of the service: errors name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.serve.settings_file import read_settings
from operators.core.errors import UsageError


def read(tmp_path: Path, text: str, **overrides: object) -> object:
    file = tmp_path / "serve.yaml"
    file.write_text(text, encoding="utf-8")
    return read_settings(file, overrides)


def test_a_relative_spool_is_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(None, {"spool": "queue"}).spool == tmp_path / "queue"


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    settings = read_settings(None, {"spool": "/s", "dicom.port": 4242, "dicom.host": None})
    assert settings.dicom.port == 4242 and settings.dicom.host == "127.0.0.1"
    (tmp_path / "serve.yaml").write_text("spool: /a\nquiet_s: 5\ndicom: {port: 1, ae_title: X}\n")
    settings = read_settings(tmp_path / "serve.yaml", {"spool": "/s", "dicom.port": 4242})
    assert settings.spool == Path("/s") and settings.quiet_s == 5
    assert settings.dicom.port == 4242 and settings.dicom.ae_title == "X"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quiet_s: 3", "spool: not given"),
        ("spol: /s", "Did you mean spool?"),
        ("spool: /s\nquiet: 3", "quiet: an unknown key"),
        ("spool: /s\ndicom: {ports: 3}", "dicom.ports: an unknown key"),
        ("spool: /s\ndicom: {port: eleven}", "dicom.port: text; expected a whole number"),
        ("spool: /s\ndicom: {port: 70000}", "dicom.port: 70000"),
        ("spool: /s\ndicom: {ae_title: THIS TITLE IS TOO LONG}", "1 to 16 ASCII"),
        ("spool: /s\ndicom: {host: 0.0.0.0}", "allowed_ae_titles: empty"),
        ("spool: /s\nquiet_s: 0", "quiet_s: 0"),
        ("spool: /s\nquiet_s: .nan", "quiet_s: nan"),  # no study would ever be complete
        ("spool: /s\nrun: {timeout_s: .inf}", "run.timeout_s: inf"),
        ("spool: /s\nmax_study_bytes: 0", "max_study_bytes: 0"),
        ("spool: /s/q\nwatch: /s", "the spool is /s/q"),  # the queue would be taken for a study
        ("spool: /s\nwatch: /s/incoming", "the spool is /s"),
        ("spool: /s\nwatch: /w\ndestinations: [{name: a, folder: /w/out}]", "destination a is /w/out"),
        ("spool: /s\nrun: {arguments: [--input, x]}", "run.arguments: --input"),
        ("spool: /s\ndestinations: [{name: a}]", "destination a: none or several"),
        ("spool: /s\ndestinations: [{name: a, dimse: here}]", "not HOST:PORT"),
        ("spool: /s\ndestinations: [{name: a, folder: /x}, {name: a, folder: /y}]", "two with the same name"),
        ("spool: /s\ndestinations: {name: a}", "not a list"),
        ("spool: /s\ndestinations: [{folder: /x}]", "destinations[0].name: not given"),
        ("spool: /s\ndicom: 3", "dicom: not a mapping"),
        ("spool: [", "not YAML"),
        ("- spool", "not a mapping"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)
