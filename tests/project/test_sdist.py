"""The source distribution holds what a checkout holds, so that whoever has it can run the tests and build the image."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = {"PKG-INFO", "setup.cfg"}  # by setuptools


def tracked_files() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_the_source_distribution_holds_every_tracked_file(tmp_path: Path) -> None:
    names = tracked_files()
    assert len(names) > 500
    for name in names:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "source" / name)
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run([*command, str(tmp_path / "source")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        held = {each.name.partition("/")[2] for each in file.getmembers() if each.isfile()}
    assert {name for name in held - MADE if ".egg-info/" not in name} == set(names)
