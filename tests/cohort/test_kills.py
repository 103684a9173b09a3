"""Processes are killed, a disk is full, a share vanishes: the tables are those of an undisturbed run."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cohort.kills import KINDS, Scene, disturbed, interrupted_by, made, tables, twice
from tests.cohort.made_report import write_template
from tests.cohort.test_outcomes import run

pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STUDIES = 100


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made(tmp_path_factory.mktemp("cohort") / "in", STUDIES)
    write_template(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(inputs: Path) -> Path:
    out = inputs.parent / "undisturbed"
    run(inputs, out, workers=2)
    return out


def test_kills_of_every_kind_change_nothing(inputs: Path, undisturbed: Path, tmp_path: Path) -> None:
    with Scene(tmp_path / "cluster") as scene:
        found = disturbed(inputs, tmp_path / "out", scene, kills=10, draw=random.Random(5), pause_s=1.5)
    assert set(found.killed) == set(KINDS), found
    assert tables(tmp_path / "out") == tables(undisturbed)
    assert twice(tmp_path / "out")["studies"] == STUDIES
    assert twice(tmp_path / "out")["without_outcome"] == 0


def test_a_share_that_vanishes_and_comes_back(inputs: Path, undisturbed: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    shutil.copytree(inputs, share / "in", copy_function=shutil.copy2)
    gone = tmp_path / "elsewhere"
    code = interrupted_by(share / "in", tmp_path / "out", lambda: share.rename(gone), lambda: gone.rename(share), 20)
    assert code == 3
    # failures.csv names the inputs, which are elsewhere here.
    assert (tmp_path / "out" / "phenotypes.parquet").read_bytes() == (undisturbed / "phenotypes.parquet").read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_full_and_then_is_not(inputs: Path, undisturbed: Path, small_disk: Path, tmp_path: Path) -> None:
    def more() -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)

    code = interrupted_by(inputs, small_disk / "out", lambda: None, more, STUDIES)
    assert code == 5
    assert tables(small_disk / "out") == tables(undisturbed)
