"""Label maps of other tools: read at their position, translated, and measured as far as possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, HAMSTRINGS, QUADRICEPS, by_name
from operators.core.errors import InputError
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.nrrd_files import write_segmentation
from operators.core.volume import Fused, Grid, Volume
from operators.phenotype_report import Measurements, measure
from operators.segmentation import import_labels
from tests.segmentation.thighs import (
    CUSTOM,
    SHAPE,
    SPACING,
    THIGH,
    fused_thighs,
    refused,
    slicer_file,
    study_grid,
    two_thighs,
    write_nifti,
)


@pytest.fixture
def fused() -> Fused:
    return fused_thighs()


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SPL", "AIR"])
def test_a_nifti_file_is_placed_by_its_affine_whatever_its_axes(fused: Fused, tmp_path: Path, axes: str) -> None:
    labels = two_thighs({"sartorius": (7141, 7142), "femur": (6171, 6172), "semimembranosus": (7161, 7162)})
    labels[0, 10, 30] = 7131  # one voxel that distinguishes the sides
    found, card = import_labels(
        fused, [LabelSource(write_nifti(tmp_path / "l.nii.gz", labels, axes=axes), load_scheme("musclemap"))]
    )
    expected = np.zeros(SHAPE, dtype=np.uint8)
    for name, numbers in {
        "sartorius": (7141, 7142),
        "femur": (6171, 6172),
        "semimembranosus": (7161, 7162),
        "rectus_femoris": (7131, 7132),
    }.items():
        expected[np.isin(labels, numbers)] = by_name(name).index
    np.testing.assert_array_equal(found.voxels, expected)
    assert card.made_elsewhere and not card.synthetic_training and card.name.startswith("MuscleMap")


def test_labels_that_were_rounded_by_a_slope_are_whole_numbers_again(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7141, 7142), "femur": (6171, 6172)})
    plain, scaled = write_nifti(tmp_path / "plain.nii", labels), tmp_path / "scaled.nii"
    image: Any = nibabel.load(plain)
    again = nibabel.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32), image.affine)
    again.header.set_data_dtype(np.int16)  # nibabel then stores a slope
    nibabel.save(again, scaled)
    rounded: Any = nibabel.load(scaled)
    stored = np.asarray(rounded.dataobj)
    assert (stored % 1 != 0).any()
    found = [import_labels(fused, [LabelSource(path, load_scheme("musclemap"))])[0] for path in (plain, scaled)]
    np.testing.assert_array_equal(found[0].voxels, found[1].voxels)


def test_a_finer_rotated_grid_is_resampled_to_the_nearest_label(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7141, 7142), "femur": (6171, 6172)})
    fine = labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    affine = study_grid().affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= np.array(SPACING) / 4
    path = write_nifti(tmp_path / "fine.nii", fine, Grid(fine.shape, affine), "PIR")
    found, _ = import_labels(fused, [LabelSource(path, load_scheme("musclemap"))])
    np.testing.assert_array_equal(found.voxels.astype(bool), labels > 0)
    np.testing.assert_array_equal(found.voxels == by_name("femur").index, np.isin(labels, (6171, 6172)))


def test_labels_with_far_larger_voxels_than_the_images_are_flagged(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7141, 7142), "femur": (6171, 6172)})
    affine = study_grid().affine.copy()
    affine[:3, :3] *= 2
    affine[:3, 3] += np.array(SPACING) / 2
    coarse = labels[::2, ::2, ::2]
    path = write_nifti(tmp_path / "coarse.nii", coarse, Grid(coarse.shape, affine))
    whole = write_nifti(tmp_path / "whole.nii", labels)
    codes = [
        {flag.code for flag in import_labels(fused, [LabelSource(file, load_scheme("musclemap"))])[0].flags}
        for file in (path, whole)
    ]
    assert "coarse-labels" in codes[0] and "coarse-labels" not in codes[1]


def test_muscles_labelled_only_together_give_the_phenotypes_that_need_only_their_sum(
    fused: Fused, tmp_path: Path
) -> None:
    path = write_nifti(tmp_path / "thigh.nii.gz", two_thighs(THIGH))
    labels, _ = import_labels(fused, [LabelSource(path, load_scheme("totalsegmentator_thigh"))])
    found = measure(labels, fused, 1.7)
    cm3 = fused.grid.voxel_volume_mm3 / 1000
    assert found.phenotypes.quadriceps_cm3 == pytest.approx(10 * 12 * (11 + 10) * cm3)
    assert found.phenotypes.pa_ratio == pytest.approx(1.0)
    assert found.phenotypes.pa_ratio_left == pytest.approx(1.0)
    assert found.phenotypes.posterior_cm3 == pytest.approx(found.phenotypes.hamstrings_cm3)
    assert found.phenotypes.quadriceps_cm3 is not None
    assert found.phenotypes.anterior_cm3 == pytest.approx(1.5 * 2 / 3 * 2 * found.phenotypes.quadriceps_cm3)
    assert found.phenotypes.muscle_fat_fraction == pytest.approx(0.25)
    by = {m.structure.name: m.volume_cm3 for m in found.structures}
    assert all(by[name] is None for name in (*QUADRICEPS, *HAMSTRINGS, "femur")) and (by["sartorius"] or 0) > 0
    assert found.phenotypes.tmv_cm3 is None and "Gluteus maximus" in found.not_given["tmv_cm3"]
    assert "Rectus femoris" not in found.not_given["tmv_cm3"]
    codes = [flag.code for flag in found.flags]
    assert codes.count("merged-structures") == 2 and "labels-made-elsewhere" in codes and "absent-structures" in codes


def test_a_second_file_fills_what_the_first_left_empty(fused: Fused, tmp_path: Path) -> None:
    first = write_nifti(tmp_path / "thigh.nii.gz", two_thighs({**THIGH, "none": (0, 0)}))
    second = write_nifti(tmp_path / "total.nii.gz", two_thighs({"femur": (36, 37)}))
    labels, card = import_labels(
        fused,
        [
            LabelSource(first, load_scheme("totalsegmentator_thigh")),
            LabelSource(second, load_scheme("totalsegmentator")),
        ],
    )
    femur = by_name("femur").index
    assert (labels.voxels[-7:] == femur).any() and not (labels.voxels[:21] == femur).any()
    assert "total_mr" in card.name and "thigh" in card.name


def test_segments_that_slicer_renumbered_are_matched_by_name(fused: Fused, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:20, 5:15, 5:15] = 1
    path = slicer_file(tmp_path / "edited.seg.nrrd", labels, fused.grid, {1: "Vastus Lateralis left"})
    found, _ = import_labels(fused, [LabelSource(path, load_scheme("musclemap"))])
    assert set(np.unique(found.voxels)) == {0, by_name("vastus_lateralis").index}


def test_our_own_file_comes_back_as_it_was(fused: Fused, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[fused.body] = np.arange(fused.body.sum()) % ADIPOSE_INDEX
    write_segmentation(tmp_path / "ours.seg.nrrd", Volume(labels, fused.grid))
    found, card = import_labels(fused, [LabelSource(tmp_path / "ours.seg.nrrd", load_scheme("ours"))])
    np.testing.assert_array_equal(found.voxels, labels)
    assert card.made == "semiautomatic"


def test_named_segments_that_the_scheme_does_not_list_are_left_out_and_named(fused: Fused, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:20, 5:15, 5:15] = 1
    labels[5:20, 5:15, 25:35] = 2
    path = slicer_file(tmp_path / "e.seg.nrrd", labels, fused.grid, {1: "sartorius_right", 2: "A cyst"})
    found, _ = import_labels(fused, [LabelSource(path, load_scheme("musclemap"))])
    (flag,) = [flag for flag in found.flags if flag.code == "unknown-labels"]
    assert flag.severity == "warning" and "A cyst" in flag.message
    assert set(np.unique(found.voxels)) == {0, by_name("sartorius").index}


def test_a_label_map_of_part_of_the_body_is_taken_and_flagged(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs({"sartorius": (7141, 7142)})[:15]
    grid = Grid(labels.shape, study_grid().affine)
    found, _ = import_labels(
        fused, [LabelSource(write_nifti(tmp_path / "l.nii", labels, grid), load_scheme("musclemap"))]
    )
    assert "partial-labels" in [flag.code for flag in found.flags]
    assert found.voxels[:15].any() and not found.voxels[15:].any()


def test_a_partial_label_map_gives_phenotypes_of_complete_structures_only(fused: Fused, tmp_path: Path) -> None:
    thigh = {name: (7000 + 10 * n + 1, 7000 + 10 * n + 2) for n, name in enumerate((*HAMSTRINGS, *QUADRICEPS))}
    scheme = tmp_path / "scheme.yaml"
    facts = CUSTOM | {
        "structures": {name: [f"{name}_{side}" for side in ("left", "right")] for name in thigh},
        "labels": {
            n: f"{name}_{side}" for name, both in thigh.items() for n, side in zip(both, ("left", "right"), strict=True)
        },
    }
    scheme.write_text(yaml.safe_dump(facts))
    labels = two_thighs(thigh)  # a slab of 4 slices each, hamstrings below

    def measured(labels: NDArray[np.int16]) -> Measurements:
        path = write_nifti(tmp_path / "l.nii", labels, Grid(labels.shape, study_grid().affine))
        return measure(import_labels(fused, [LabelSource(path, load_scheme(str(scheme)))])[0], fused)

    whole, part = measured(labels), measured(labels[:26])  # the second ends within the last of the quadriceps
    assert whole.phenotypes.pa_ratio == pytest.approx(3 / 4)
    assert part.phenotypes.hamstrings_cm3 == pytest.approx(whole.phenotypes.hamstrings_cm3)
    assert part.phenotypes.quadriceps_cm3 is part.phenotypes.pa_ratio is None
    cut = by_name(QUADRICEPS[-1])
    assert part.not_given["pa_ratio"] == f"Only a part is in the label map: {cut.display_name}."
    lower_bounds = {m.structure.name for m in part.structures if m.cut_by_field_of_view}
    assert lower_bounds == {HAMSTRINGS[0], cut.name}  # the first slice of the study, and the last of the labels


def test_numbers_of_slicers_segments_mean_nothing(fused: Fused, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5:20, 5:15, 25:35] = 1
    labels[5:20, 5:15, 5:15] = 2  # in our label table the rectus femoris
    path = slicer_file(tmp_path / "e.seg.nrrd", labels, fused.grid, {1: "Left sartorius", 2: "sartorius_right"})
    found, _ = import_labels(fused, [LabelSource(path, load_scheme("ours"))])
    assert set(np.unique(found.voxels)) == {0, by_name("sartorius").index}
    gracilis = by_name("gracilis")
    tags = f"TerminologyEntry:Segmentation category~SCT^123037004^Body~{gracilis.scheme}^{gracilis.code}^x~^^|"
    path = slicer_file(tmp_path / "c.seg.nrrd", labels, fused.grid, {1: "Segment_1", 2: "Segment_2"}, tags)
    found, _ = import_labels(fused, [LabelSource(path, load_scheme("ours"))])
    assert set(np.unique(found.voxels)) == {0, gracilis.index}
    path = slicer_file(tmp_path / "n.seg.nrrd", labels, fused.grid, {1: "Segment_1", 2: "Segment_2"})
    assert "Segment_1, Segment_2" in refused(fused, path, "ours")
    assert "Segment_1, Segment_2" in refused(fused, path)


def test_an_own_scheme_works(fused: Fused, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(CUSTOM), encoding="utf-8")
    path = write_nifti(tmp_path / "l.nii", two_thighs({"a": (4, 4), "b": (9, 9)}))
    found, card = import_labels(fused, [LabelSource(path, load_scheme(str(tmp_path / "own.yaml")))])
    assert set(np.unique(found.voxels)) == {0, 1} and card.made == "manual"
    assert "unknown-labels" not in [flag.code for flag in found.flags]


def test_a_box_that_3d_slicer_saved_around_the_segments_is_whole(fused: Fused, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[12:18, 4:16, 25:36] = by_name("sartorius").index
    labels[12:18, 4:16, 4:14] = by_name("sartorius").index
    first = np.array([4, 4, 12])  # x, y, z
    affine = study_grid().affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    box = labels[12:18, 4:16, 4:36]
    write_segmentation(tmp_path / "cropped.seg.nrrd", Volume(box, Grid((6, 12, 32), affine)))
    source = LabelSource(tmp_path / "cropped.seg.nrrd", load_scheme("ours"))
    found, _ = import_labels(fused, [source])
    assert np.array_equal(found.voxels, labels)
    assert found.cut == frozenset() and [flag.code for flag in found.flags] == ["labels-made-elsewhere"]

    affine[2, 3] += 2.0  # between the fused slices: made on other images, which may well end there
    write_segmentation(tmp_path / "cropped.seg.nrrd", Volume(box, Grid((6, 12, 32), affine)))
    with pytest.raises(InputError, match="covers"):
        import_labels(fused, [source])


def test_holes_are_flagged_with_their_share_and_not_filled(fused: Fused, tmp_path: Path) -> None:
    labels = two_thighs(THIGH)
    before, _ = import_labels(
        fused, [LabelSource(write_nifti(tmp_path / "a.nii", labels), load_scheme("totalsegmentator_thigh"))]
    )
    assert "label-holes" not in [flag.code for flag in before.flags]
    labels[3:7, 6:10, 28:32] = 0  # in the left quadriceps
    labels[24:26, 6:10, 6:10] = 0  # in the right sartorius: 1.3% of both
    labels[26:27, 6:10, 29:32] = 9  # and a label that is not one of ours
    found, _ = import_labels(
        fused, [LabelSource(write_nifti(tmp_path / "b.nii", labels), load_scheme("totalsegmentator_thigh"))]
    )
    (flag,) = (flag for flag in found.flags if flag.code == "label-holes")
    assert flag.severity == "warning" and "Sartorius" not in flag.message and "quadriceps (3%)" in flag.message
    assert "rectus_femoris" in flag.structures


def test_one_number_alone_may_be_a_mask_of_all_muscle(fused: Fused, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[12:18, 4:16, 25:36] = labels[12:18, 4:16, 4:14] = 1
    write_nifti(tmp_path / "muscle.nii.gz", labels)
    found, _ = import_labels(fused, [LabelSource(tmp_path / "muscle.nii.gz", load_scheme("ours"))])
    assert [flag.code for flag in found.flags] == ["labels-made-elsewhere", "single-label"]
    assert "Sartorius" in found.flags[1].message
    labels[12:18, 4:6, 25:36] = 2
    write_nifti(tmp_path / "two.nii.gz", labels)
    found, _ = import_labels(fused, [LabelSource(tmp_path / "two.nii.gz", load_scheme("ours"))])
    assert "single-label" not in [flag.code for flag in found.flags]
