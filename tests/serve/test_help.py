"""``python -m app.serve --help`` is the reference of the settings file."""

from __future__ import annotations

import dataclasses
import re

import pytest
import yaml

from app.serve.__main__ import EPILOG
from app.serve.settings import Destination, DicomSettings, HttpSettings, RunSettings, SendSettings, Settings, _build

SECTIONS = {"": Settings, "dicom": DicomSettings, "http": HttpSettings, "run": RunSettings, "send": SendSettings}


def documented() -> dict:
    """The settings file that the help shows, without what it says of each key."""
    lines = EPILOG.split("\n\n")[0].splitlines()[1:]
    return yaml.safe_load("\n".join(re.sub(r"(?<=\S) {2,}\S.*$", "", line) for line in lines))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_the_settings_file_is_in_the_help(section: str) -> None:
    shown = documented()[section] if section else documented()
    assert set(shown) == {item.name for item in dataclasses.fields(SECTIONS[section])}


def test_every_key_of_a_destination_is_in_the_help() -> None:
    shown = {key for destination in documented()["destinations"] for key in destination}
    assert shown == {item.name for item in dataclasses.fields(Destination)}


def test_the_settings_in_the_help_are_the_defaults_where_there_are_some() -> None:
    shown = _build(Settings, documented(), "")
    default = Settings(spool=shown.spool)
    examples = {"watch", "dicom", "run", "destinations"}
    for item in dataclasses.fields(Settings):
        if item.name not in examples:
            assert getattr(shown, item.name) == getattr(default, item.name), item.name
    assert (shown.run.workers, shown.run.timeout_s, shown.run.attempts) == (1, 3600, 3)
    assert shown.dicom.maximum_associations == default.dicom.maximum_associations
