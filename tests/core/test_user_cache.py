"""A user without a home, as in a container under any number, has no cache folder, and none is made in "~"."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from operators.core.kernel_cache import ensure_kernel_cache
from operators.core.user_cache import user_cache
from operators.segmentation.network_cache import cache_folder, chosen_cache_folder


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CACHE_HOME", "SARCOMAP_CACHE", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does without a home
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_home_networks_go_to_a_temporary_folder(no_home: Path) -> None:
    assert user_cache() is None and chosen_cache_folder() is None
    assert cache_folder().is_dir() and no_home not in cache_folder().parents
    assert list(no_home.iterdir()) == []


def test_without_a_home_kernels_go_to_a_temporary_folder(no_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # so that what is set here is undone
    ensure_kernel_cache(no_home / "absent")
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_dir()
    assert list(no_home.iterdir()) == []


def test_the_chosen_cache_folder_needs_no_home(no_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARCOMAP_CACHE", str(no_home / "chosen"))
    assert cache_folder() == no_home / "chosen"
