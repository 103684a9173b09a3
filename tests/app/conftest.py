"""One small scanned participant and one small network, shared by all tests of the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.made_study import Scanned, scan
from tests.segmentation.made_bundle import random_unetr_bundle


@pytest.fixture(scope="session")
def scanned() -> Scanned:
    return scan()


@pytest.fixture(scope="session")
def study(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An intact study as a folder. Tests change only copies of it."""
    return scanned.write_folder(tmp_path_factory.mktemp("study") / "dicom")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_unetr_bundle(tmp_path_factory.mktemp("bundle") / "bundle")
