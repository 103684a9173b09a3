"""The example scripts run and say what they promise."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import matplotlib.image
import numpy as np
import pytest

from operators.core.nrrd_files import read_segmentation, read_volume, write_segmentation
from operators.core.volume import Volume
from operators.pipeline import fuse_study
from phantom.station_geometry import archive_stations, coarser
from tests.app.made_study import Scanned

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_explains_itself(script: Path) -> None:
    shown = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert f"python examples/{script.name}" in shown.stdout


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_examples_import_nothing_of_ours_but_the_public_names(script: Path) -> None:
    ours = ("operators", "app", "bundle", "analysis")
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith(("from ", "import "))]
    assert not [line for line in lines if line.split()[1].split(".")[0] in ours or line.startswith("from phantom.")]


def test_a_folder_is_processed_to_its_end_although_a_study_fails(study: Path, bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(study, archive / "1000001")
    (archive / "1000000.zip").write_bytes(b"no zip")
    table = example("process_folder").process_folder(archive, tmp_path / "out", bundle, device="cpu")
    with table.open(newline="", encoding="utf-8") as file:
        failed, done = csv.DictReader(file)
    assert failed["study"] == "1000000.zip" and "1000000.zip" in failed["error"] and failed["tmv_cm3"] == ""
    assert done["study"] == "1000001" and done["error"] == ""
    assert (tmp_path / "out" / "1000001" / "report.json").is_file() and not (tmp_path / "out" / "1000000").exists()


def test_fat_of_each_muscle_is_that_of_its_voxels(scanned: Scanned, study: Path, tmp_path: Path) -> None:
    fused = fuse_study(study, tmp_path / "fused").folder / "fused"
    fat_fraction = read_volume(fused / "fat_fraction.nrrd")
    truth = Volume(scanned.truth.labels_on(fat_fraction.grid), fat_fraction.grid)
    write_segmentation(tmp_path / "truth.seg.nrrd", truth)
    picture = tmp_path / "slice.png"
    table = example("fat_by_muscle").fat_by_muscle(study, picture, tmp_path / "truth.seg.nrrd").set_index("structure")
    gracilis = read_segmentation(tmp_path / "truth.seg.nrrd").voxels == 17
    assert table.loc["Gracilis", "fat_fraction"] == pytest.approx(fat_fraction.voxels[gracilis].mean(), abs=1e-4)
    assert table["fat_fraction"].is_monotonic_decreasing and len(table) > 20
    drawn = matplotlib.image.imread(picture)
    assert np.ptp(drawn[..., 0] - drawn[..., 2]) > 0.5  # labels are coloured


@pytest.mark.slow
def test_measured_numbers_are_compared_with_the_truth(tmp_path: Path) -> None:
    """With the shipped weights, which know such bodies; a fourth of the archive's resolution costs some accuracy."""
    table, share = example("compare_with_truth").compare_with_truth(
        tmp_path, seed=3, stations=coarser(archive_stations(6)), tissue_spacing_mm=(4.0, 4.0, 4.0)
    )
    assert table["true"].between(0.2, 20000).all()
    assert table["difference_percent"].abs().max() < 25
    assert 0.6 < share < 1
