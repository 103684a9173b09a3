"""Inputs of the stand-in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cohort.made_report import write_template
from tests.cohort.stand_in import write_inputs


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    write_template(folder)
    return folder / ".template.json"


@pytest.fixture
def made_inputs(template: Path, tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """Make inputs with these contents."""

    def make(contents: Sequence[str]) -> Path:
        folder = write_inputs(tmp_path / "in", contents)
        shutil.copy(template, folder)
        return folder

    return make
