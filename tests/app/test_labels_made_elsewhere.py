"""``python -m app --segmentation FILE --scheme NAME``: labels of another tool are measured and declared as such."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import nibabel
import numpy as np
import pydicom
import pytest

from operators.core.nrrd_files import read_volume
from operators.core.output_folder import OUTPUT_FILES
from tests.app.made_study import ROOT, run_here

SCHEMA = json.loads((ROOT / "operators" / "core" / "schema" / "report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(study: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The output of a run on thighs labelled with TotalSegmentator's numbers, and the label map."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert run_here("-q", "-i", study, "-o", folder / "first", "-m", bundle) == 0
    water = read_volume(folder / "first" / "fused" / "water.nrrd")
    body = read_volume(folder / "first" / "fused" / "body.nrrd").voxels.astype(bool)
    place = np.indices(body.shape)
    z, y, x = place[0], place[1], place[2]
    low = body & (z >= 5) & (z < body.shape[0] // 3)  # what reaches the lower end would be cut there
    left = ((water.grid.affine[0, 0] * x + water.grid.affine[0, 3]) > 0).astype(int)  # LPS
    front = y < np.median(y[low])
    labels = np.where(low, np.where(front, 2 - left, 6 - left), 0).astype(np.int16)
    image = nibabel.Nifti1Image(labels.T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ water.grid.affine)
    nibabel.save(image, folder / "thighs.nii.gz")
    out = folder / "out"
    no_bundle = folder / "nowhere"  # the network is not even loaded
    arguments = ("--segmentation", folder / "thighs.nii.gz", "--scheme", "totalsegmentator_thigh")
    assert run_here("-q", "-i", study, "-o", out, "-m", no_bundle, *arguments) == 0
    return out, folder / "thighs.nii.gz"


def test_every_file_is_there_and_says_that_the_labels_came_from_elsewhere(made: tuple[Path, Path]) -> None:
    out, _ = made
    assert all((out / name).is_file() for name in OUTPUT_FILES)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, SCHEMA)
    assert report["model"]["made_elsewhere"] and not report["model"]["synthetic_training"]
    assert report["segmentation"]["engine"] is None
    assert "labels-made-elsewhere" in [flag["code"] for flag in report["quality"]["flags"]]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Labels made elsewhere" in page and "synthetic images" not in page
    seg, sr = (pydicom.dcmread(out / name) for name in ("segmentation.dcm", "report.sr.dcm"))
    assert "labels made elsewhere" in seg.SeriesDescription and "labels made elsewhere" in sr.SeriesDescription
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName.startswith("TotalSegmentator") and algorithm.AlgorithmSource == "Made elsewhere"
    assert "synthetic" not in seg.ContentDescription


def test_what_the_labels_allow_is_measured_and_the_rest_is_null_with_the_reason(made: tuple[Path, Path]) -> None:
    out, _ = made
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    phenotypes = report["phenotypes"]
    assert phenotypes["pa_ratio"] > 0 and phenotypes["quadriceps_cm3"] > 0
    assert phenotypes["tmv_cm3"] is None and "Gluteus maximus" in report["quality"]["not_given"]["tmv_cm3"]
    assert all(s["volume_cm3"] is None for s in report["structures"])


def test_a_command_line_that_does_not_say_what_the_numbers_mean_is_refused(
    made: tuple[Path, Path], study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, labels = made
    for arguments in (("--segmentation", labels), ("--segmentation", labels, "--scheme", "unheard-of")):
        assert run_here("-i", study, "-o", tmp_path / "out", *arguments) == 2
        assert "musclemap" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
