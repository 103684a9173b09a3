"""One small study and one small network, shared by the tests of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pacs.small_study import few_slices, scanned
from tests.segmentation.made_bundle import random_unetr_bundle


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four stations of four contrasts."""
    return scanned().write_folder(tmp_path_factory.mktemp("study") / "dicom")


@pytest.fixture(scope="session")
def slices(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slices of the four contrasts of one station."""
    return few_slices(study, tmp_path_factory.mktemp("slices") / "dicom")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_unetr_bundle(tmp_path_factory.mktemp("bundle") / "bundle")
