"""Left and right as another tool's labels state them are kept, and compared with the middle of the body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from operators.core.label_files import read_label_file
from operators.core.label_map import LabelMap
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.volume import Fused, Volume
from operators.phenotype_report import measure
from operators.phenotype_report.measurements import Measurements
from operators.segmentation import import_labels
from operators.segmentation.label_map_files import SIDES_FILE, write_label_map
from tests.segmentation.thighs import fused_thighs, slicer_file, study_grid, two_thighs, write_nifti

THIGH = {"quadriceps": (1, 2), "posterior": (5, 6), "sartorius": (7, 8)}


@pytest.fixture
def fused() -> Fused:
    return fused_thighs()


def imported(path: Path, labels: np.ndarray, fused: Fused, scheme: str = "totalsegmentator_thigh") -> LabelMap:
    return import_labels(fused, [LabelSource(write_nifti(path / "labels.nii.gz", labels), load_scheme(scheme))])[0]


def side_flag(found: Measurements) -> tuple[str, str]:
    (flag,) = (flag for flag in found.flags if flag.code == "sides-of-labels")
    return flag.severity, flag.message


def sides_of(found: Measurements, name: str) -> tuple[float | None, float | None]:
    (one,) = (one for one in found.structures if one.structure.name == name)
    return one.left_cm3, one.right_cm3


def test_volumes_by_side_are_those_of_the_tool_where_it_disagrees_with_the_middle(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    labels[:10, 4:16, 10:14] = 1  # a part of the right thigh is on the left to this tool
    labels[20:, 4:16, 10:14] = 7
    known = imported(tmp_path, labels, fused)
    found, middle = measure(known, fused), measure(replace(known, sides=None), fused)
    assert found.phenotypes.quadriceps_cm3 == middle.phenotypes.quadriceps_cm3
    cm3 = fused.grid.voxel_volume_mm3 / 1000
    assert sides_of(found, "sartorius") == pytest.approx(tuple((labels == n).sum() * cm3 for n in (7, 8)))
    assert (sides_of(middle, "sartorius")[0] or 0) < (sides_of(found, "sartorius")[0] or 0)
    assert found.phenotypes.pa_ratio_left == pytest.approx((labels == 5).sum() / (labels == 1).sum())
    severity, message = side_flag(found)
    assert severity == "warning" and "12.7% of the labelled volume is on the other side" in message


def test_fat_by_side_is_that_of_the_tools_side(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7, 8), "none": (0, 0)})
    fat = np.where(labels == 7, 50.0, 100.0).astype(np.float32)
    known = imported(tmp_path, np.where(labels == 7, 8, np.where(labels == 8, 7, labels)), replace(fused, fat=fat))
    found = measure(known, replace(fused, fat=fat))
    (sartorius,) = (one for one in found.structures if one.structure.name == "sartorius")
    assert sartorius.fat is not None
    left, right = (fat.whole_fraction for fat in sartorius.fat)
    assert (left, right) == pytest.approx((0.5, 1 / 3), abs=0.01)  # exchanged, as the tool says
    severity, message = side_flag(found)
    assert severity == "warning" and "left and right exchanged" in message


def test_sides_that_agree_are_one_remark(fused: Fused, tmp_path: Path) -> None:
    found = measure(imported(tmp_path, two_thighs(THIGH), fused), fused)
    assert side_flag(found)[0] == "info"
    middle = measure(replace(imported(tmp_path, two_thighs(THIGH), fused), sides=None), fused)
    assert dict(found.phenotypes.items()) == pytest.approx(dict(middle.phenotypes.items()), nan_ok=True)


def test_one_leg_has_a_side_where_the_labels_state_it(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    labels[:, :, :20] = 0
    known = imported(tmp_path, labels, fused)
    found = measure(known, fused)
    left, right = sides_of(found, "sartorius")
    assert left is not None and right is None and found.phenotypes.pa_ratio_right is None
    assert found.phenotypes.pa_ratio_left == pytest.approx(1.0)
    codes = [flag.code for flag in found.flags]
    assert "sides-undetermined" not in codes and "sides-of-labels" in codes
    assert "sides-undetermined" in [flag.code for flag in measure(replace(known, sides=None), fused).flags]


def test_segments_without_a_side_in_their_names_are_divided_by_the_middle(fused: Fused, tmp_path: Path) -> None:
    labels = (two_thighs({"a": (1, 1), "b": (2, 2)})).astype(np.uint8)
    names = {1: "Sartorius_left", 2: "Femur"}
    path = slicer_file(tmp_path / "a.seg.nrrd", labels, study_grid(), names)
    known, _ = import_labels(fused, [LabelSource(path, load_scheme("ours"))])
    assert known.sides is not None
    np.testing.assert_array_equal(known.sides.voxels == 1, labels == 1)
    assert not (known.sides.voxels == 2).any()
    assert "where they state none" in side_flag(measure(known, fused))[1]


def test_sides_are_written_beside_the_segments(fused: Fused, tmp_path: Path) -> None:
    known = imported(tmp_path, two_thighs(THIGH), fused)
    write_label_map(tmp_path, known)
    assert known.sides is not None
    np.testing.assert_array_equal(read_label_file(tmp_path / SIDES_FILE).layers[0], known.sides.voxels)
    assert isinstance(known.sides, Volume)
