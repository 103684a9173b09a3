"""The truth of a painted study: left and right as the map shows them, and nothing that it does not show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.command_line import run_command
from operators.core.errors import InputError
from operators.core.label_schemes import load_scheme
from phantom.commands import commands
from phantom.mapped_body import read_body
from phantom.painted import write_painted_study
from phantom.truth import Volumes, count_volumes
from tests.phantom.thigh_maps import SCHEME, thighs

CT = "totalsegmentator_ct"
CT_NUMBERS = {name: number for number, name in load_scheme(CT).labels.items()}
SPACING_MM = (2.0, 2.0, 8.0)


def written(
    folder: Path, labels: NDArray[np.uint8], spacing_mm: tuple[float, ...] = SPACING_MM, name: str = "map.nii.gz"
) -> Path:
    """The map, shape (z, y, x), as NIfTI; x runs towards the patient's left, y towards the back."""
    nibabel.save(
        nibabel.Nifti1Image(labels.transpose(2, 1, 0), np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])),
        folder / name,
    )
    return folder / name


@pytest.fixture
def scheme(tmp_path: Path) -> str:
    (tmp_path / "scheme.yaml").write_text(SCHEME)
    return str(tmp_path / "scheme.yaml")


def volumes(path: Path, scheme: str) -> Volumes:
    body = read_body(path, scheme).body
    return count_volumes(body.labels, body.grid, sides=body.sides)


def by_side(found: Volumes, name: str) -> tuple[float | None, float | None]:
    return found.structures[name].left_cm3, found.structures[name].right_cm3


def ct_thighs() -> NDArray[np.uint8]:
    """Both femora and both glutei with the numbers of TotalSegmentator, which state the side."""
    labels = thighs()
    left = np.indices(labels.shape)[2] > 50
    made = np.zeros_like(labels)
    for number, structure in ((1, "femur"), (2, "gluteus_medius"), (3, "gluteus_maximus")):
        for side, half in (("left", left), ("right", ~left)):
            made[(labels == number) & half] = CT_NUMBERS[f"{structure}_{side}"]
    return made


def test_a_map_without_thigh_muscles_has_a_truth_without_their_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, ct_thighs())
    out = tmp_path / "out"
    assert run_command(commands("phantom"), ["paint", "--labels", str(path), "--scheme", CT, "--out", str(out)]) == 0
    truth = json.loads((out / "truth/truth.json").read_text())
    assert truth["pa_ratio"] is truth["lr_asymmetry"] is truth["covered_pa_ratio"] is None
    assert truth["tmv_cm3"] > 0 and "sides_unknown" not in truth
    said = capsys.readouterr().out
    assert "total muscle volume" in said and "P/A" not in said and "left and right" not in said


def test_two_equal_thighs_are_equal_whatever_else_is_labelled(tmp_path: Path, scheme: str) -> None:
    labels = thighs((20, 60, 130))
    labels[:, 28:32, 118:122] = 4  # far to one side: the middle of the box is not the middle of the body
    source = read_body(written(tmp_path, labels), scheme)
    found = count_volumes(source.body.labels, source.body.grid, sides=source.body.sides)
    assert found.lr_asymmetry == 0.0 and found.sided
    assert by_side(found, "femur")[0] == by_side(found, "femur")[1]
    split_at_zero = count_volumes(source.body.labels, source.body.grid)
    assert split_at_zero.lr_asymmetry == 0.0  # the mid-plane is at x = 0


def test_legs_that_lean_to_one_side_are_not_cut(tmp_path: Path, scheme: str) -> None:
    labels = np.zeros((40, 60, 160), np.uint8)
    for k in range(40):
        labels[k] = np.roll(thighs((1, 60, 160))[0], k, axis=1)
    left, right = by_side(volumes(written(tmp_path, labels), scheme), "biceps_femoris")
    assert left == right


def test_the_left_is_where_the_file_says(tmp_path: Path, scheme: str) -> None:
    labels = thighs()
    labels[10:, :, :50] = 0  # half of the right leg
    left, right = by_side(volumes(written(tmp_path, labels), scheme), "vastus_lateralis")
    assert left and right == pytest.approx(left / 2, rel=0.1)


def one_leg() -> NDArray[np.uint8]:
    labels = thighs()
    labels[:, :, :50] = 0
    return labels


def thick_leg_without_a_bone() -> NDArray[np.uint8]:
    """Its two halves are as far apart as two muscles can be."""
    labels = np.zeros((20, 120, 120), np.uint8)
    _, y, x = np.indices(labels.shape)
    radius = np.hypot(x - 60, y - 60) * 2.0
    labels[radius < 100] = 3
    labels[(radius < 100) & (y < 60)] = 2
    return labels


def on_its_side() -> NDArray[np.uint8]:
    return np.ascontiguousarray(thighs().transpose(0, 2, 1))


@pytest.mark.parametrize("make", [one_leg, thick_leg_without_a_bone, on_its_side])
def test_sides_that_cannot_be_told_apart_have_no_volumes(make: Any, tmp_path: Path, scheme: str) -> None:
    found = volumes(written(tmp_path, make()), scheme)
    assert by_side(found, "vastus_lateralis") == (None, None)
    assert found.lr_asymmetry is None and not found.sided
    assert found.pa_ratio == pytest.approx(1.0, rel=0.1) and found.structures["vastus_lateralis"].total_cm3 > 200


def test_the_truth_says_why_it_has_no_sides(tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path, one_leg()), tmp_path / "out"
    arguments = ["paint", "--labels", str(path), "--scheme", scheme, "--out", str(out)]
    assert run_command(commands("phantom"), arguments) == 0
    truth = json.loads((out / "truth/truth.json").read_text())
    assert truth["lr_asymmetry"] is truth["covered_lr_asymmetry"] is None and "cannot be told" in truth["sides_unknown"]
    sides = truth["volumes_cm3"]["biceps_femoris"]
    assert sides["left"] is sides["right"] is None and sides["total"] > 0
    assert not [name for name in truth["phenotypes"] if "left" in name or "right" in name]
    assert "P/A ratio" in (said := capsys.readouterr().out) and "not told apart" in said


def test_one_leg_has_the_side_that_its_labels_name(tmp_path: Path) -> None:
    labels = ct_thighs()
    labels[:, :, :50] = 0
    left, right = by_side(volumes(written(tmp_path, labels), CT), "gluteus_maximus")
    assert right == 0.0 and left is not None and left > 200


def test_labels_that_name_their_side_are_believed_in_a_body_on_its_side(tmp_path: Path) -> None:
    labels = np.ascontiguousarray(ct_thighs().transpose(0, 2, 1))
    left, right = by_side(volumes(written(tmp_path, labels), CT), "gluteus_maximus")
    assert left == right


def lone_voxel(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    labels = np.zeros(shape, np.uint8)
    labels[tuple(n // 2 for n in shape)] = 2
    return labels


@pytest.mark.parametrize(
    ("labels", "spacing_mm"),
    [
        (thighs((1, 60, 100)), (2.0, 2.0, 4.0)),
        (thighs()[:, 25:26], (2.0, 2.0, 4.0)),
        (lone_voxel((9, 40, 40)), (2.0, 2.0, 4.0)),
        (lone_voxel((20, 99, 99)), (0.6, 0.6, 1.0)),
    ],
    ids=["one axial slice", "one coronal slice", "one voxel", "less than a voxel"],
)
def test_a_map_that_is_no_body_is_refused(
    labels: NDArray[np.uint8], spacing_mm: tuple[float, ...], tmp_path: Path, scheme: str
) -> None:
    path = written(tmp_path, np.ascontiguousarray(labels), spacing_mm)
    with pytest.raises(InputError, match=r"map\.nii\.gz: labels .*; expected"):
        read_body(path, scheme)


def test_the_smallest_map_that_is_read_can_be_painted(tmp_path: Path, scheme: str) -> None:
    path = written(tmp_path, lone_voxel((9, 40, 40)), (2.0, 2.0, 9.0))
    written_study = write_painted_study(tmp_path / "out", read_body(path, scheme))
    assert written_study.truth.volumes.tmv_cm3 > 0


@pytest.mark.parametrize(
    ("values", "moved_mm", "found"), [(0, 0.0, "no voxel of a body"), (1, 900.0, "none of the labels")]
)
def test_an_outline_of_nothing_or_of_another_place_is_refused(
    values: int, moved_mm: float, found: str, tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    affine = np.diag([-2.0, -2.0, 8.0, 1.0])
    affine[0, 3] = moved_mm
    nibabel.save(nibabel.Nifti1Image(np.full((100, 60, 20), values, np.uint8), affine), tmp_path / "outline.nii.gz")
    arguments = ["--labels", str(written(tmp_path, thighs())), "--outline", str(tmp_path / "outline.nii.gz")]
    out = str(tmp_path / "out")
    assert run_command(commands("phantom"), ["paint", *arguments, "--scheme", scheme, "--out", out]) == 3
    said = capsys.readouterr().err
    assert f"outline.nii.gz: {found}" in said and "expected a mask of the body" in said


def test_an_outline_that_is_too_small_loses_no_label(tmp_path: Path, scheme: str) -> None:
    labels = thighs()
    narrow = np.zeros_like(labels)
    narrow[:, :, 14:] = 1  # 97% of them
    path, outline = written(tmp_path, labels), written(tmp_path, narrow, name="outline.nii.gz")
    whole, cut = (read_body(path, scheme, mask).body.labels for mask in (None, outline))
    assert (cut > 0).sum() == (whole > 0).sum()
