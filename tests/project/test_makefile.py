"""`make setup` can be run twice, interrupted, and run where folders have spaces; it says what a moved folder needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLER = """
import sys
from pathlib import Path
with Path("installed.txt").open("a") as log:
    print(*sys.argv[1:], file=log)
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and what it looks at, with an installer that only notes its options."""
    folder = tmp_path / "a folder" / "sarcomap"
    shutil.copytree(ROOT / "locks", folder / "locks")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "container").mkdir()
    (folder / "container" / "install.py").write_text(INSTALLER)
    return folder


def make(folder: Path, *words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON", "VIRTUAL_ENV"))}
    command = ["make", f"PYTHON={python}", *words]
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)


def installations(folder: Path) -> list[str]:
    return (folder / "installed.txt").read_text().splitlines()


def test_make_alone_lists_every_target(checkout: Path) -> None:
    done = make(checkout)
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = [line for line in text.splitlines() if line.startswith(".PHONY: help")]
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert listed == set(phony.split()[1:]) and len(listed) > 10


def test_setup_is_done_once_goes_on_after_an_interruption_and_knows_that_it_was_moved(checkout: Path) -> None:
    assert make(checkout, "setup").returncode == 0
    assert make(checkout, "setup").returncode == 0
    assert len(installations(checkout)) == 1

    pip = [each for each in (checkout / ".venv").rglob("pip*") if each.parent.name in ("site-packages", "bin")]
    for each in (*pip, *(checkout / ".venv").glob(".installed-*")):  # as if stopped while the environment was made
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    done = make(checkout, "setup")
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv" / "bin" / "pip").is_file() and len(installations(checkout)) == 2

    assert make(checkout, "setup", "VARIANT=gpu").returncode == 0
    assert make(checkout, "setup").returncode == 0  # the packages are those of the GPU now
    assert [line.split()[1] for line in installations(checkout)] == ["cpu", "cpu", "gpu", "cpu"]

    moved = checkout.rename(checkout.parent / "moved")
    done = make(moved, "setup")
    assert done.returncode != 0 and "rm -r .venv" in done.stderr and str(checkout) in done.stderr
    assert len(installations(moved)) == 4


@pytest.mark.parametrize("python", ["python-that-is-absent", "old-python"])
def test_a_python_that_will_not_do_is_refused_before_anything_is_made(
    python: str, checkout: Path, tmp_path: Path
) -> None:
    if python == "old-python":
        other = tmp_path / python
        other.write_text("#!/bin/sh\nexit 1\n")
        other.chmod(0o755)
        python = str(other)
    done = make(checkout, "setup", python=python)
    assert done.returncode != 0 and "3.11, 3.12 or 3.13" in done.stderr
    assert not (checkout / ".venv").exists() and not (checkout / "installed.txt").exists()


def test_an_environment_that_was_made_by_hand_with_options_is_used(checkout: Path) -> None:
    options = ("--system-site-packages", "--prompt", "my own")
    subprocess.run([sys.executable, "-m", "venv", *options, checkout / ".venv"], check=True)
    done = make(checkout, "setup")
    assert done.returncode == 0, done.stderr


def test_an_environment_whose_python_was_removed_is_made_again(checkout: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    for link in (checkout / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/python/that/is/gone")
    done = make(checkout, "setup")
    assert done.returncode == 0, done.stderr
    assert make(checkout, "setup").returncode == 0
    assert len(installations(checkout)) == 1


def test_an_environment_of_another_python_is_refused(checkout: Path) -> None:
    old = checkout / ".venv" / "bin" / "python"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\n[ $1 = -m ] && [ $2 = pip ]\n")  # it has pip, and its version is not one of ours
    old.chmod(0o755)
    done = make(checkout, "setup")
    assert done.returncode != 0 and "rm -r .venv" in done.stderr
    assert not (checkout / "installed.txt").exists()
