"""Kernels are kept where nobody can write but to the temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from operators.core.kernel_cache import CACHE_VARIABLE, ensure_kernel_cache
from tests.closed_folder import closed_folder

ROOT = Path(__file__).parents[2]
DEFINE = "import operators.station_fusion.mask_kernels, os; print(os.environ.get('NUMBA_CACHE_DIR'))"


def defined(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Define the kernels of a copy of the package in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment = kept | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    return subprocess.run(
        [sys.executable, "-c", DEFINE], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_kernels_of_a_read_only_installation_work_without_a_home(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "operators", tmp_path / "operators", ignore=shutil.ignore_patterns("__pycache__"))
    temporary, file = tmp_path / "temporary", tmp_path / "file"
    temporary.mkdir()
    file.touch()
    nowhere = {"HOME": str(file / "home"), "TMPDIR": str(temporary)}  # below a file nobody can make a folder
    done = defined(tmp_path, nowhere)
    assert done.stdout == "None\n", done.stderr  # numba's own place is beside the modules

    for folder in [each for each in (tmp_path / "operators").rglob("*") if each.is_dir()]:
        if folder.name != "__pycache__":
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
            (folder / "__pycache__").touch()  # as good as read-only, for the superuser too
    done = defined(tmp_path, nowhere)
    assert done.returncode == 0, done.stderr
    assert str(temporary) in done.stdout
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", CACHE_VARIABLE])
def test_a_folder_that_this_user_may_not_enter_is_as_good_as_none(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container under another number than the superuser's, whose home is still /root."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__pycache__").touch()  # as good as read-only
    for name in (CACHE_VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with closed_folder(tmp_path) as closed:
        monkeypatch.setenv("HOME", str(closed / "home"))
        monkeypatch.setenv(variable, str(closed / "home"))
        ensure_kernel_cache(package)
    assert "sarcomap-kernels-" in os.environ[CACHE_VARIABLE]
    shutil.rmtree(os.environ[CACHE_VARIABLE])
