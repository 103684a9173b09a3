"""Tests keep what they export out of the user's cache."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_folder_of_the_tests(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARCOMAP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
