"""Folders of masks and layers of segments: what overlaps, is missing, empty or on another grid."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import by_name
from operators.core.errors import InputError
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.options import LabelOptions, OptionError
from operators.core.volume import Fused, Grid
from operators.phenotype_report import measure
from operators.segmentation import import_labels
from operators.segmentation.label_translation import map_labels
from tests.segmentation.thighs import SHAPE, fused_thighs, study_grid, two_thighs, write_nifti

THIGH = {"quadriceps": (1, 2), "posterior": (5, 6), "sartorius": (7, 8)}
NAMES = load_scheme("totalsegmentator_thigh").labels


@pytest.fixture
def fused() -> Fused:
    return fused_thighs()


def write_masks(folder: Path, labels: NDArray[np.int16], value: int = 1) -> Path:
    """As TotalSegmentator writes a task: one mask for every name of its list, empty or not."""
    folder.mkdir()
    for number, name in NAMES.items():
        write_nifti(folder / f"{name}.nii.gz", ((labels == number) * value).astype(np.uint8))
    (folder / "statistics.json").write_text("{}")
    return folder


def imported(fused: Fused, path: Path, scheme: str = "totalsegmentator_thigh"):  # type: ignore[no-untyped-def]
    return import_labels(fused, [LabelSource(path, load_scheme(scheme))])[0]


def refused(path: Path, scheme: str = "totalsegmentator_thigh") -> str:
    with pytest.raises(InputError) as raised:
        map_labels(path, load_scheme(scheme))
    return str(raised.value)


@pytest.mark.parametrize("value", [1, 255])
def test_a_folder_of_masks_gives_what_the_label_map_gives(fused: Fused, tmp_path: Path, value: int) -> None:
    labels = two_thighs(THIGH)
    folder = write_masks(tmp_path / "masks", labels, value)
    one, many = imported(fused, write_nifti(tmp_path / "l.nii.gz", labels)), imported(fused, folder)
    np.testing.assert_array_equal(many.voxels, one.voxels)
    np.testing.assert_array_equal(many.group_voxels.voxels, one.group_voxels.voxels)
    assert many.flags == one.flags
    (tmp_path / "link").symlink_to(folder)
    np.testing.assert_array_equal(imported(fused, tmp_path / "link").voxels, one.voxels)


def test_masks_with_our_own_names_are_read_one_side_each(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"gracilis": (1, 2), "femur": (3, 4)})
    (tmp_path / "masks").mkdir()
    for number, name in enumerate(("gracilis_left", "gracilis_right", "Left femur", "femur_right"), start=1):
        write_nifti(tmp_path / "masks" / f"{name}.nii", (labels == number).astype(np.uint8))
    found = imported(fused, tmp_path / "masks", "ours").voxels
    assert np.array_equal(found == by_name("gracilis").index, np.isin(labels, (1, 2)))
    assert np.array_equal(found == by_name("femur").index, np.isin(labels, (3, 4)))


def test_an_empty_mask_is_an_absent_structure_and_no_phenotype_is_given_without_it(
    fused: Fused, tmp_path: Path
) -> None:
    found = imported(fused, write_masks(tmp_path / "masks", two_thighs({**THIGH, "posterior": (0, 0)})))
    measured = measure(found, fused, 1.7)
    assert measured.phenotypes.quadriceps_cm3 and measured.phenotypes.pa_ratio is None
    assert "absent-structures" in [flag.code for flag in measured.flags]


def test_a_structure_of_which_a_mask_is_missing_is_left_out_and_named(fused: Fused, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks", two_thighs(THIGH))
    (folder / "quadriceps_femoris_left.nii.gz").unlink()
    found = imported(fused, folder)
    measured = measure(found, fused, 1.7)
    assert measured.phenotypes.quadriceps_cm3 is measured.phenotypes.pa_ratio is None
    assert measured.phenotypes.hamstrings_cm3 == pytest.approx(
        float(np.isin(two_thighs(THIGH), (5, 6)).sum()) * fused.grid.voxel_volume_mm3 / 1000
    )
    flag = next(flag for flag in found.flags if flag.code == "incomplete-masks")
    assert "quadriceps_femoris_left" in flag.message and flag.severity == "warning"


def test_a_voxel_of_two_masks_counts_once_and_much_overlap_is_refused(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    folder = write_masks(tmp_path / "masks", labels)
    sartorius = labels == 7
    quadriceps = labels == 1
    edge = quadriceps & (np.cumsum(quadriceps).reshape(SHAPE) <= 0.05 * sartorius.sum())
    write_nifti(folder / "sartorius_left.nii.gz", (sartorius | edge).astype(np.uint8))
    found = imported(fused, folder)
    clean = imported(fused, write_nifti(tmp_path / "l.nii", labels))
    np.testing.assert_array_equal(found.voxels, clean.voxels)  # the quadriceps comes first in the scheme's list
    flag = next(flag for flag in found.flags if flag.code == "overlapping-labels")
    share_cm3 = edge.sum() * fused.grid.voxel_volume_mm3 / 1000
    assert f"quadriceps and sartorius ({share_cm3:.1f} cm3)" in flag.message
    write_nifti(folder / "sartorius_left.nii.gz", (sartorius | quadriceps).astype(np.uint8))
    assert "voxels in both quadriceps and sartorius" in refused(folder)


@pytest.mark.parametrize("how", ["RAS", "PIR", "rounded"])
def test_a_mask_that_another_tool_saved_again_is_read(fused: Fused, tmp_path: Path, how: str) -> None:
    labels = two_thighs(THIGH)
    folder, mask = write_masks(tmp_path / "masks", labels), (labels == 8).astype(np.uint8)
    rounded = study_grid().affine.copy()
    rounded[0, 3] += 0.004
    if how == "rounded":
        write_nifti(folder / "sartorius_right.nii.gz", mask, Grid(SHAPE, rounded))
    else:
        write_nifti(folder / "sartorius_right.nii.gz", mask, axes=how)
    clean = imported(fused, write_nifti(tmp_path / "l.nii", labels))
    np.testing.assert_array_equal(imported(fused, folder).voxels, clean.voxels)


def test_two_masks_of_one_label_are_refused(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks", two_thighs(THIGH))
    write_nifti(folder / "Sartorius right.nii.gz", (two_thighs(THIGH) == 1).astype(np.uint8))
    assert "Sartorius right.nii.gz and sartorius_right.nii.gz, both masks of sartorius_right" in refused(folder)


def test_a_mask_that_is_a_box_of_the_image_is_refused_because_the_structure_may_be_cut(tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    folder, grid = write_masks(tmp_path / "masks", labels), study_grid()
    affine = grid.affine.copy()
    affine[:3, 3] += grid.affine[:3, :3] @ [0, 0, 10]
    part = (labels == 8).astype(np.uint8)[10:]
    write_nifti(folder / "sartorius_right.nii.gz", part, Grid(part.shape, affine))
    assert "another grid" in refused(folder)


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks", two_thighs(THIGH))
    (folder / "liver.nii.gz").symlink_to("nowhere")  # no scheme asks for it
    assert [flag.code for flag in map_labels(folder, load_scheme("totalsegmentator_thigh")).flags] == ["unknown-labels"]
    (folder / "sartorius_right.nii.gz").unlink()
    (folder / "sartorius_right.nii.gz").symlink_to("nowhere")
    assert "sartorius_right.nii.gz: a link to a file that does not exist" in refused(folder)


def test_a_zip_of_masks_says_to_unpack_it(tmp_path: Path) -> None:
    (tmp_path / "masks.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="Unpack it"):
        map_labels(tmp_path / "masks.zip", load_scheme("ours"))


def test_folders_that_are_not_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    folder = write_masks(tmp_path / "masks", labels)
    shifted = study_grid().affine.copy()
    shifted[0, 3] += 3
    mask = (labels == 8).astype(np.uint8)
    write_nifti(folder / "sartorius_right.nii.gz", mask, Grid(SHAPE, shifted))
    assert "sartorius_right.nii.gz: another grid than quadriceps_femoris_left" in refused(folder)
    write_nifti(folder / "sartorius_right.nii.gz", labels)
    assert "several labels" in refused(folder)
    (folder / "sartorius_right.nii.gz").write_bytes(b"no gzip")
    assert "not readable" in refused(folder)
    write_nifti(folder / "sartorius_right.nii", mask)
    assert "one mask for each structure" in refused(folder)
    assert "that scheme TotalSegmentator abdominal_muscles does not know" in refused(
        write_masks(tmp_path / "others", labels), "totalsegmentator_abdomen"
    )


def test_a_folder_without_masks_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one NIfTI or NRRD file for each structure"):
        LabelOptions((tmp_path,), ("ours",))
    with pytest.raises(OptionError, match="no file or folder"):
        LabelOptions((tmp_path / "nowhere",), ("ours",))


def layered(path: Path, layers: NDArray[np.uint8], first: bool = True, **changes: str) -> Path:
    """A ``.seg.nrrd`` of two segments with the value 1, each in its layer; the axis of layers first or last."""
    grid, at = study_grid(), 0 if first else 3
    directions = np.insert(grid.affine[:3, :3].T, at, np.nan, axis=0)
    header = {"space": "left-posterior-superior", "space directions": directions, "space origin": grid.origin_mm}
    header["kinds"] = ["list", *["domain"] * 3] if first else [*["domain"] * 3, "list"]
    for number, name in enumerate(("Sartorius", "Gracilis")):
        header |= {f"Segment{number}_LabelValue": "1", f"Segment{number}_Layer": str(number)}
        header |= {f"Segment{number}_Name": name, f"Segment{number}_ID": f"Segment_{number + 1}"}
    voxels = layers.transpose(0, 3, 2, 1) if first else layers.transpose(3, 2, 1, 0)
    nrrd.write(str(path), np.asfortranarray(voxels), {**header, **changes})
    return path


@pytest.mark.parametrize("first", [True, False])
def test_segments_in_layers_are_read_and_their_overlap_is_flagged(tmp_path: Path, first: bool) -> None:
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, 2:10, 4:16, 4:14], layers[1, 10:20, 4:16, 4:14] = 1, 1
    ours = load_scheme("ours")
    clean = map_labels(layered(tmp_path / "a.seg.nrrd", layers, first), ours)
    expected = np.where(layers[0], by_name("sartorius").index, np.where(layers[1], by_name("gracilis").index, 0))
    np.testing.assert_array_equal(clean.voxels, expected)
    assert clean.grid.same_as(study_grid()) and clean.flags == ()
    layers[1, 9, 4:10, 4:14] = 1
    shared = map_labels(layered(tmp_path / "b.seg.nrrd", layers, first), ours)
    np.testing.assert_array_equal(shared.voxels, expected)
    assert [flag.code for flag in shared.flags] == ["overlapping-labels"]
    layers[1, 2:10, 4:16, 4:14] = 1
    assert "in both sartorius and gracilis" in refused(layered(tmp_path / "c.seg.nrrd", layers, first), "ours")


@pytest.mark.parametrize("key", ["Segment1_Layer", "Segment1_LabelValue"])
@pytest.mark.parametrize("value", ["7", "one"])
def test_a_segment_without_its_layer_or_value_is_refused(tmp_path: Path, key: str, value: str) -> None:
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[:, 2:10] = 1
    path = layered(tmp_path / "a.seg.nrrd", layers, True, **{key: value})
    if (key, value) == ("Segment1_LabelValue", "7"):  # a segment without a voxel, and voxels without a segment
        assert [flag.code for flag in map_labels(path, load_scheme("ours")).flags] == ["unknown-labels"]
    else:
        assert "3D Slicer" in refused(path, "ours")


def three_segments() -> NDArray[np.uint8]:
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, 2:10, 4:16, 4:14], layers[1, 10:20, 4:16, 4:14], layers[0, 2:10, 4:16, 24:34] = 1, 1, 2
    return layers


THREE = {"Segment0_Name": "Right sartorius", "Segment0_Layer": "0", "Segment1_Layer": "1"}


@pytest.mark.parametrize("number", [2, 12])
def test_layers_may_hold_several_segments_with_the_same_values_and_numbers_with_a_gap(
    tmp_path: Path, number: int
) -> None:
    third = {f"Segment{number}_{key}": value for key, value in (("LabelValue", "2"), ("Layer", "0"))}
    third[f"Segment{number}_Name"] = "Left sartorius"
    found = map_labels(layered(tmp_path / "a.seg.nrrd", three_segments(), True, **THREE, **third), load_scheme("ours"))
    layers = three_segments()
    np.testing.assert_array_equal(found.voxels == by_name("sartorius").index, layers[0] > 0)
    np.testing.assert_array_equal(found.voxels == by_name("gracilis").index, layers[1] > 0)
    np.testing.assert_array_equal(found.sides, np.select([layers[0] == 1, layers[0] == 2], [2, 1]))
    assert found.flags == ()


def test_two_segments_with_one_layer_and_value_are_refused(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", three_segments(), True, Segment1_Layer="0")
    assert "'Sartorius' and 'Gracilis' with the same layer and label value" in refused(path, "ours")
