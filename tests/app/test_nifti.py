"""NIfTI in and out, the whole way: copies of a study's volumes give the study's phenotypes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from app.run import run_study
from operators.core.contrast import Contrast
from operators.core.errors import SegmentationError
from operators.core.nrrd_files import read_segmentation, read_volume
from operators.core.options import PersonOptions, ReadingOptions, RunOptions
from operators.pipeline import StudyResult, process_study
from operators.remeasure import measure_study
from operators.segmentation import load_model
from tests.segmentation.made_bundle import rewrite_card


@pytest.fixture(scope="module")
def from_dicom(study: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return process_study(study, tmp_path_factory.mktemp("dicom"), RunOptions(nifti=True), model=bundle)


def opened(path: Path) -> Any:
    return nibabel.load(path)


def nifti_names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in (folder / "nifti").glob("*.nii.gz"))


def test_copies_hold_the_volumes_and_labels_of_the_run(from_dicom: StudyResult) -> None:
    out = from_dicom.folder
    assert nifti_names(out) == ["body", "fat", "fat_fraction", "in", "opp", "segmentation", "water"]
    for name in ("water", "fat_fraction"):
        ours, copy = read_volume(out / "fused" / f"{name}.nrrd"), opened(out / "nifti" / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asanyarray(copy.dataobj).T, ours.voxels)
        np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ copy.affine, ours.grid.affine, atol=1e-3)
    labels = read_segmentation(out / "segmentation.seg.nrrd")
    copy = opened(out / "nifti" / "segmentation.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(copy.dataobj).T, labels.voxels)


def test_the_copies_give_the_studys_phenotypes(from_dicom: StudyResult, bundle: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("in", "opp", "water", "fat"):
        shutil.copy(from_dicom.folder / "nifti" / f"{name}.nii.gz", images)
    person = PersonOptions(height_cm=158.25)
    result = process_study(images, tmp_path / "out", RunOptions(reading=ReadingOptions(person=person)), model=bundle)
    for name, value in from_dicom.phenotypes.items():
        assert result.phenotypes[name] == (value if value is None else pytest.approx(value, rel=1e-3)), name
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["fused", "report.html", "report.json", "segmentation.seg.nrrd"]
    assert "nifti-input" in [flag["code"] for flag in result.flags]

    again = measure_study(tmp_path / "out")
    assert again.phenotypes == result.phenotypes
    assert [flag["code"] for flag in again.flags] == [flag["code"] for flag in result.flags]


def reasons(result: StudyResult) -> Mapping[str, str]:
    found: Mapping[str, str] = result.report["quality"]["not_given"]
    return found


def total_cm3(result: StudyResult) -> float:
    return sum(structure["volume_cm3"] or 0.0 for structure in result.report["structures"])


@pytest.mark.parametrize("run", [process_study, run_study], ids=["pipeline", "MONAI Deploy"])
def test_water_alone_gives_volumes_and_no_fat(
    from_dicom: StudyResult, bundle: Path, tmp_path: Path, run: Callable[..., StudyResult]
) -> None:
    water = from_dicom.folder / "nifti" / "water.nii.gz"
    result = run(water, tmp_path / "out", RunOptions(nifti=True), model=bundle)
    assert sorted(path.stem for path in (tmp_path / "out" / "fused").iterdir()) == ["body", "water"]
    assert nifti_names(tmp_path / "out") == ["body", "segmentation", "water"]
    assert total_cm3(result) == pytest.approx(total_cm3(from_dicom), rel=0.1)
    assert result.phenotypes["muscle_fat_fraction"] is None
    assert reasons(result)["muscle_fat_fraction"] == "The study has no fat images."
    assert all(structure["fat_fraction_mean"] is None for structure in result.report["structures"])


def test_an_earlier_runs_files_do_not_stay_beside_those_of_water_alone(
    from_dicom: StudyResult, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(from_dicom.folder, out)
    process_study(from_dicom.folder / "nifti" / "water.nii.gz", out, RunOptions(overwrite=True), model=bundle)
    assert not any((out / name).exists() for name in ("segmentation.dcm", "report.sr.dcm", "fused/fat.nrrd"))
    assert not list(out.glob("derived/*/*")) and not list(out.glob("nifti/*"))


def test_a_slab_gives_labels_and_no_volume_of_what_it_cuts(
    from_dicom: StudyResult, bundle: Path, tmp_path: Path
) -> None:
    image = opened(from_dicom.folder / "nifti" / "water.nii.gz")
    depth = image.shape[2]
    nibabel.save(image.slicer[:, :, depth // 4 : depth // 2], tmp_path / "slab.nii.gz")
    result = process_study(tmp_path / "slab.nii.gz", tmp_path / "out", model=bundle)
    assert "partial-coverage" in [flag["code"] for flag in result.flags]
    assert result.phenotypes["tmv_cm3"] is None and result.phenotypes["pa_ratio"] is None
    assert read_segmentation(tmp_path / "out" / "segmentation.seg.nrrd").voxels.any()


def test_a_network_that_needs_fat_says_so(from_dicom: StudyResult, bundle: Path, tmp_path: Path) -> None:
    both = replace(load_model(bundle), contrasts=(Contrast.WATER, Contrast.FAT))
    with pytest.raises(SegmentationError, match="a study without fat images"):
        process_study(from_dicom.folder / "nifti" / "water.nii.gz", tmp_path / "out", model=both)
    assert not (tmp_path / "out").exists()


def test_a_card_that_names_an_unknown_contrast_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "bundle"
    shutil.copytree(bundle, other)
    rewrite_card(other, can_lack=["gold"])
    with pytest.raises(SegmentationError, match="can_lack"):
        load_model(other)
