"""Label maps of other tools that cannot be right: another list, another place, impossible anatomy, no labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import by_name
from operators.core.errors import InputError
from operators.core.label_map import LabelMap
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.volume import Fused, Grid
from operators.segmentation import import_labels
from operators.segmentation.plausible_anatomy import anatomy_flags
from tests.segmentation.thighs import (
    SHAPE,
    THIGH,
    fused_thighs,
    refused,
    study_grid,
    two_thighs,
    write_nifti,
)


@pytest.fixture
def fused() -> Fused:
    return fused_thighs()


def test_numbers_outside_the_list_prove_that_it_is_another_list(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7141, 7142), "new": (9991, 9992)})
    text = refused(fused, write_nifti(tmp_path / "l.nii", labels))
    assert "9991, 9992" in text and "MuscleMap whole-body 1.2 and 1.3" in text and "musclemap_1_4" in text
    old = two_thighs({"femur": (34, 35), "sartorius": (54, 55)})  # of the 56 labels that total_mr once had
    text = refused(fused, write_nifti(tmp_path / "old.nii", old), "totalsegmentator")
    assert "54, 55" in text and "1 to 50" in text and "56 labels" in text
    assert "29" in refused(fused, write_nifti(tmp_path / "ours.nii", two_thighs({"a": (1, 29)})), "ours")


def anatomy(fused: Fused, numbers: dict[str, int]) -> tuple[Fused, NDArray[np.int16]]:
    """Both thighs and hips with muscle bright in water: quadriceps in front, hamstrings behind, femur in between."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    for side in (slice(4, 15), slice(25, 36)):
        for name, z, y in (
            ("quadriceps", slice(1, 18), slice(2, 7)),
            ("femur", slice(1, 18), slice(8, 11)),
            ("hamstrings", slice(1, 18), slice(12, 17)),
            ("gluteus_maximus", slice(19, 24), slice(12, 18)),
            ("iliopsoas", slice(19, 29), slice(4, 8)),
            ("gluteus_medius", slice(25, 29), slice(10, 16)),
        ):
            if name in numbers:
                labels[z, y, side] = numbers[name]
    water = np.where(fused.body, 60.0, 0.0)
    water[labels != 0] = 220.0
    water[labels == numbers["femur"]] = 30.0
    return replace(fused, water=water.astype(np.float32)), labels


TOTAL = {"femur": 36, "gluteus_maximus": 40, "gluteus_medius": 42, "iliopsoas": 48}


def test_labels_where_they_belong_are_taken(fused: Fused, tmp_path: Path) -> None:
    study, labels = anatomy(fused, TOTAL)
    found, _ = import_labels(
        study, [LabelSource(write_nifti(tmp_path / "l.nii", labels), load_scheme("totalsegmentator"))]
    )
    assert (found.voxels == by_name("iliopsoas").index).sum() == (labels == 48).sum()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # The older list's numbers: gluteus medius and minimus moved up, the quadriceps stands for the iliopsoas.
        (lambda study, labels: anatomy(study, {"quadriceps": 48, "femur": 34, "gluteus_medius": 36}), "iliopsoas"),
        (lambda study, labels: (study, labels[:, ::-1]), "gluteus maximus does not lie behind the femur"),
        (lambda study, labels: (study, labels[::-1]), "iliopsoas does not lie above the femur"),
        (lambda study, labels: (study, np.where(labels == 36, 42, np.where(labels == 42, 36, labels))), "femur is as"),
    ],
    ids=["older list", "front and back", "upside down", "femur and muscle exchanged"],
)
def test_impossible_anatomy_is_refused(fused: Fused, tmp_path: Path, change: Callable[..., Any], said: str) -> None:
    study, labels = change(*anatomy(fused, TOTAL))
    text = refused(study, write_nifti(tmp_path / "l.nii", labels), "totalsegmentator")
    assert "impossible anatomy" in text and said in text and "56 labels" in text


def test_impossible_anatomy_of_our_own_network_is_a_warning(fused: Fused) -> None:
    study, labels = anatomy(fused, {"quadriceps": 3, "femur": 27, "hamstrings": 21, "gluteus_maximus": 6})
    labels = labels.astype(np.uint8)
    assert anatomy_flags(LabelMap(labels, study.grid), study) == ()
    (flag,) = anatomy_flags(LabelMap(np.ascontiguousarray(labels[:, ::-1]), study.grid), study)
    assert (flag.code, flag.severity) == ("implausible-anatomy", "warning")
    assert "the gluteus maximus does not lie behind the femur" in flag.message
    assert "the hamstrings do not lie behind the quadriceps" in flag.message


@pytest.mark.parametrize("shift", [(0.0, 0.0, 900.0), (150.0, 0.0, 0.0)])
def test_a_label_map_outside_the_image_is_refused(
    fused: Fused, tmp_path: Path, shift: tuple[float, float, float]
) -> None:
    grid = study_grid()
    affine = grid.affine.copy()
    affine[:3, 3] += shift
    labels = two_thighs({"sartorius": (7141, 7142)})
    assert "affine" in refused(fused, write_nifti(tmp_path / "l.nii", labels, Grid(SHAPE, affine)))


def test_the_numbers_of_another_task_are_refused(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"organs": (3, 4)})
    assert "--scheme" in refused(fused, write_nifti(tmp_path / "l.nii", labels), "totalsegmentator")


def test_files_that_are_no_label_maps_are_refused(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7141, 7142)})
    assert "not labels" in refused(fused, write_nifti(tmp_path / "p.nii", labels.astype(np.float32) + 0.5))
    assert "not labels" in refused(fused, write_nifti(tmp_path / "n.nii", -labels))
    image = nibabel.Nifti1Image(labels.T, None)
    nibabel.save(image, tmp_path / "nowhere.nii")
    assert "no position" in refused(fused, tmp_path / "nowhere.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), tmp_path / "4d.nii")
    assert "4 dimensions" in refused(fused, tmp_path / "4d.nii")
    whole = write_nifti(tmp_path / "whole.nii.gz", labels).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    assert "readable" in refused(fused, tmp_path / "cut.nii.gz")
    (tmp_path / "labels.png").write_bytes(b"")
    assert "not a label map" in refused(fused, tmp_path / "labels.png")


def test_a_label_map_on_its_side_is_refused(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    affine = study_grid().affine.copy()
    affine[:3, :2] = affine[:3, [1, 0]]  # the file calls left to right what is front to back
    path = write_nifti(tmp_path / "side.nii", labels, Grid(labels.shape, affine), "LPS")
    with pytest.raises(InputError, match="inside the body"):
        import_labels(fused, [LabelSource(path, load_scheme("totalsegmentator_thigh"))])
