"""``python -m app.serve --help`` documents the settings file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.serve.command import check_run_arguments, settings_from
from app.serve.settings import EXAMPLE, Destination, DicomSettings, HttpSettings, RunSettings, SendSettings, Settings
from app.serve.settings_file import build
from app.serve.settings_reference import explanations, reference
from operators.core.errors import UsageError

SECTIONS = {"": Settings, "dicom": DicomSettings, "http": HttpSettings, "run": RunSettings, "send": SendSettings}


def documented() -> dict[str, Any]:
    """The settings file in the help."""
    shown: dict[str, Any] = yaml.safe_load(reference())
    return shown


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_the_settings_file_is_in_the_help(section: str) -> None:
    shown = documented()[section] if section else documented()
    assert set(shown) == {item.name for item in dataclasses.fields(SECTIONS[section])}


def test_every_key_of_a_destination_is_in_the_help() -> None:
    shown = {key for destination in documented()["destinations"] for key in destination}
    assert shown == {item.name for item in dataclasses.fields(Destination)}


@pytest.mark.parametrize("kind", [*SECTIONS.values(), Destination])
def test_every_setting_is_explained(kind: type) -> None:
    said = explanations(kind)
    for item in dataclasses.fields(kind):
        assert said.get(item.name) or dataclasses.is_dataclass(item.default_factory), item.name


def test_the_reference_can_be_used_as_it_is_and_shows_the_defaults() -> None:
    shown: Settings = build(Settings, documented(), "")
    default = Settings(spool=shown.spool)
    for section, kind in SECTIONS.items():
        ours, usual = (getattr(one, section) if section else one for one in (shown, default))
        for item in dataclasses.fields(kind):
            value = getattr(ours, item.name)
            if EXAMPLE not in item.metadata and item.name != "destinations" and not dataclasses.is_dataclass(value):
                assert value == getattr(usual, item.name), item.name
    assert [bool(one.dicomweb) for one in shown.destinations] == [True, False, False]
    check_run_arguments(shown.run.arguments)


def test_the_command_line_wins_over_the_file_and_both_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("spool: /a\ndicom: {port: 1, ae_title: X}\nkeep_days: 2\n", encoding="utf-8")
    given = ["--spool", "/s", "--watch", "/w", "--quiet", "5", "--port", "4242", "--http-port", "0"]
    settings = settings_from(["--config", str(file), *given])
    assert (settings.spool, settings.watch, settings.quiet_s) == (Path("/s"), Path("/w"), 5)
    assert (settings.dicom.port, settings.dicom.ae_title, settings.http.port) == (4242, "X", 0)
    assert settings.keep_days == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spool", "/s", "--port", "70000"], "--port: 70000"),
        (["--spool", "/s", "--http-port", "-1"], "--http-port: -1"),
        (["--spool", "/s", "--quiet", "0"], "--quiet: 0"),
        (["--spool", "/s", "--ae-title", "THIS TITLE IS TOO LONG"], "--ae-title: "),
        (["--spool", "/s", "--port", "eleven"], "--port"),
        (["--spol", "/s"], "--spool"),
    ],
)
def test_a_wrong_option_is_named_by_its_flag(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings_from(arguments)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--statoins", "all"], "Did you mean --stations?"),
        (["--stations", "every"], "--stations"),
        (["--trim-slices", "-3"], "0 or more"),
        (["--pseudonym", "P1"], "Add --deidentify"),
    ],
)
def test_wrong_arguments_for_the_runs_are_refused_before_the_first_study(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_run_arguments(arguments)
    assert str(refused.value).startswith("run.arguments: ") and said in str(refused.value)
