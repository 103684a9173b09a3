"""Volumes and phenotypes compared with voxels counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import (
    HAMSTRINGS,
    MUSCLES,
    QUADRICEPS,
    STRUCTURES,
    Compartment,
    by_name,
    compartment_members,
)
from operators.core.errors import InternalError
from operators.core.phenotypes.formulas import left_right_asymmetry, posterior_anterior_ratio, total_volume_index
from operators.core.volume import Fused, QualityFlag, Volume
from operators.phenotype_report import Measurements, measure
from tests import box_body

CM3 = 5 * 5 * 8 / 1000.0


def measured(fused: Fused | None = None, height_m: float | None = 1.70, **options: object) -> Measurements:
    fused = fused or box_body.fused_of(box_body.grid())
    labels, _ = box_body.box_labels(**options)  # type: ignore[arg-type]
    return measure(Volume(labels, fused.grid), fused, height_m)


def test_volumes_are_voxels_times_voxel_volume_by_side() -> None:
    _, counts = box_body.box_labels(left_scale=0.8)
    for m in measured(left_scale=0.8).structures:
        left, right = counts[m.structure.name]
        assert m.left_cm3 == pytest.approx(left * CM3)
        assert m.right_cm3 == pytest.approx(right * CM3)
        assert m.volume_cm3 == pytest.approx((left + right) * CM3)


def test_phenotypes_follow_from_the_volumes() -> None:
    _, counts = box_body.box_labels(left_scale=0.8)
    given = measured(left_scale=0.8)
    p = given.phenotypes
    assert p.tmv_cm3 is not None
    assert p.quadriceps_cm3 is not None
    volume = {name: sum(pair) * CM3 for name, pair in counts.items()}
    left = {name: pair[0] * CM3 for name, pair in counts.items()}
    assert p.tmv_cm3 == pytest.approx(sum(volume[m] for m in MUSCLES))
    assert p.tvi_cm3_per_cm2 == pytest.approx(p.tmv_cm3 / 170.0**2)
    assert p.pa_ratio == pytest.approx(sum(volume[m] for m in HAMSTRINGS) / sum(volume[m] for m in QUADRICEPS))
    assert p.pa_ratio_left == pytest.approx(sum(left[m] for m in HAMSTRINGS) / sum(left[m] for m in QUADRICEPS))
    assert p.anterior_cm3 == pytest.approx(p.quadriceps_cm3 + volume["sartorius"])
    assert p.posterior_cm3 == pytest.approx(p.hamstrings_cm3)
    assert p.bone_cm3 == pytest.approx(sum(volume[name] for name in compartment_members(Compartment.BONE)))
    muscles = (p.anterior_cm3, p.gluteal_cm3, p.medial_cm3, p.posterior_cm3, p.core_cm3)
    assert p.tmv_cm3 == pytest.approx(sum(v for v in muscles if v is not None))
    assert set(given.not_given) == box_body.NO_MIDDLE
    assert [flag.code for flag in given.flags] == ["uneven-legs"]  # the left boxes are a fifth shorter
    assert measured().flags == ()


def test_ratio_of_the_papers_example_muscles() -> None:
    volumes = {"semimembranosus": 200.0, "semitendinosus": 150.0, "biceps_femoris": 250.0}
    volumes |= {"rectus_femoris": 200.0, "vastus_lateralis": 500.0, "vastus_medialis": 300.0}
    assert posterior_anterior_ratio(volumes) is None  # vastus intermedius is not there
    assert posterior_anterior_ratio({**volumes, "vastus_intermedius": 500.0}) == pytest.approx(0.4)


def test_tvi_of_the_papers_mean_participant_matches_the_paper() -> None:
    assert total_volume_index(9321.7, 1.692) == pytest.approx(0.32, abs=0.01)


def test_asymmetry_is_a_fraction_of_the_larger_side() -> None:
    assert left_right_asymmetry(90.0, 100.0) == pytest.approx(0.1)
    assert left_right_asymmetry(100.0, 90.0) == pytest.approx(0.1)
    assert left_right_asymmetry(None, 90.0) is None


def test_asymmetry_is_of_the_thigh_not_of_the_trunk() -> None:
    labels, _ = box_body.box_labels()
    left_half = labels[:, :, labels.shape[2] // 2 :]
    left_half[left_half == by_name("multifidus").index] = 0
    left_half[:15][left_half[:15] == by_name("gluteus_maximus").index] = 0
    fused = box_body.fused_of(box_body.grid())
    given = measure(Volume(labels, fused.grid), fused, 1.7)
    assert given.phenotypes.lr_asymmetry == 0.0
    assert given.phenotypes.tmv_left_cm3 is None


def test_without_height_only_tvi_is_missing() -> None:
    given = measured(height_m=None)
    assert given.phenotypes.tvi_cm3_per_cm2 is None
    assert set(given.not_given) == {"tvi_cm3_per_cm2", *box_body.NO_MIDDLE}
    assert "height" in given.not_given["tvi_cm3_per_cm2"]


def test_an_absent_muscle_is_null_and_so_is_what_needs_it() -> None:
    given = measured(absent=("gracilis",))
    gracilis = next(m for m in given.structures if m.structure.name == "gracilis")
    assert (gracilis.volume_cm3, gracilis.left_cm3, gracilis.fat_fraction_mean) == (None, None, None)
    p = given.phenotypes
    assert p.tmv_cm3 is None
    assert p.medial_cm3 is None
    assert p.lr_asymmetry is None
    assert p.pa_ratio is not None
    assert p.posterior_cm3 is not None
    assert all("Gracilis" in given.not_given[name] for name in ("tmv_cm3", "medial_cm3", "lr_asymmetry"))
    assert [flag.code for flag in given.flags] == ["absent-structures"]


def test_a_structure_on_one_side_only_is_flagged() -> None:
    labels, counts = box_body.box_labels()
    left_half = labels[:, :, labels.shape[2] // 2 :]
    left_half[left_half == by_name("piriformis").index] = 0
    fused = box_body.fused_of(box_body.grid())
    given = measure(Volume(labels, fused.grid), fused, 1.7)
    piriformis = next(m for m in given.structures if m.structure.name == "piriformis")
    assert piriformis.left_cm3 is None
    assert piriformis.right_cm3 == pytest.approx(counts["piriformis"][1] * CM3)
    assert [flag.code for flag in given.flags] == ["one-sided-structures"]
    assert "Piriformis (right only)" in given.flags[0].message


def one_half() -> NDArray[np.uint8]:
    labels, _ = box_body.box_labels()
    labels[:, :, : labels.shape[2] // 2] = 0
    return labels


def test_a_single_leg_has_ratios_but_no_sides_and_no_sum_of_both() -> None:
    fused = box_body.fused_of(box_body.grid())
    given = measure(Volume(one_half(), fused.grid), fused, 1.7)
    assert given.phenotypes.pa_ratio is not None
    assert given.phenotypes.thigh_dixon_fat_whole is not None
    for key in ("tmv_cm3", "tvi_cm3_per_cm2", "quadriceps_cm3", "thigh_fat_free_muscle_cm3", "bone_cm3"):
        assert given.phenotypes[key] is None, key
        assert "not known whether both are labelled" in given.not_given[key]
    assert given.phenotypes.lr_asymmetry is None
    assert given.phenotypes.pa_ratio_left is None
    assert all(m.left_cm3 is None and m.right_cm3 is None for m in given.structures)
    assert all(m.volume_cm3 for m in given.structures if m.structure.name == "sartorius")
    assert "sides-undetermined" in [flag.code for flag in given.flags]


def with_other_half_of(names: tuple[str, ...]) -> Measurements:
    """The left half of the body, and both sides of some structures."""
    labels, counts = box_body.box_labels()
    other = labels[:, :, : labels.shape[2] // 2]
    other[~np.isin(other, [by_name(name).index for name in names])] = 0
    assert counts["femur"][1] > 0
    fused = box_body.fused_of(box_body.grid())
    return measure(Volume(labels, fused.grid), fused, 1.7)


def test_half_of_a_body_with_both_femora_has_its_side_but_no_sum_of_both() -> None:
    given = with_other_half_of(("femur", "iliac_bone"))
    assert given.phenotypes.tmv_left_cm3 is not None
    assert given.phenotypes.pa_ratio == pytest.approx(given.phenotypes.pa_ratio_left)
    assert given.phenotypes.bone_cm3 is not None
    assert given.phenotypes.tmv_cm3 is None
    assert "(left)" in given.not_given["tmv_cm3"] and "and 21 more" in given.not_given["tmv_cm3"]


def test_hamstrings_of_one_leg_are_not_compared_with_quadriceps_of_two() -> None:
    given = with_other_half_of(("femur", *QUADRICEPS))
    assert given.phenotypes.pa_ratio_left is not None
    assert given.phenotypes.quadriceps_cm3 is not None
    assert given.phenotypes.pa_ratio is None
    assert "Semimembranosus (left)" in given.not_given["pa_ratio"]


def test_a_small_muscle_that_lacks_a_side_does_not_cost_the_total() -> None:
    given = with_other_half_of(tuple(name for name in (s.name for s in STRUCTURES) if name != "piriformis"))
    assert given.phenotypes.tmv_cm3 is not None
    assert "one-sided-structures" in [flag.code for flag in given.flags]


def test_an_error_flag_withholds_everything() -> None:
    flag = QualityFlag("no-pelvis-to-knee-coverage", "error", "The stations cover 160 mm.")
    given = measured(box_body.fused_of(box_body.grid(), flags=(flag,)))
    assert given.withheld == "The stations cover 160 mm."
    assert set(given.phenotypes.values()) == {None}
    assert {m.volume_cm3 for m in given.structures} == {None}
    assert set(given.not_given) == set(given.phenotypes)


def test_a_warning_does_not_withhold() -> None:
    flag = QualityFlag("duplicate-station", "warning", "Station 2 was scanned twice.")
    assert measured(box_body.fused_of(box_body.grid(), flags=(flag,))).phenotypes.tmv_cm3 is not None


def test_fat_fraction_is_the_mean_over_a_structures_own_voxels() -> None:
    grid = box_body.grid()
    labels, counts = box_body.box_labels()
    fraction = np.full(grid.shape, 0.10, dtype=np.float32)
    fraction[labels == by_name("femur").index] = 0.85
    fraction[labels == by_name("sartorius").index] = 0.30
    fused = box_body.fused_of(grid, fat_fraction=fraction)
    given = measure(Volume(labels, grid), fused, None)
    means = {m.structure.name: m.fat_fraction_mean for m in given.structures}
    assert means["femur"] == pytest.approx(0.85, abs=1e-6)
    assert means["sartorius"] == pytest.approx(0.30, abs=1e-6)
    assert means["gracilis"] == pytest.approx(0.10, abs=1e-6)
    sartorius, muscle = sum(counts["sartorius"]), sum(sum(counts[m]) for m in MUSCLES)
    expected = (0.30 * sartorius + 0.10 * (muscle - sartorius)) / muscle
    assert given.phenotypes.muscle_fat_fraction == pytest.approx(expected, abs=1e-6)


def test_structures_that_reach_an_end_slice_are_marked() -> None:
    marked = {m.structure.name for m in measured().structures if m.cut_by_field_of_view}
    assert marked == {"femur"}  # its boxes start in slice 0; all others end inside


def test_labels_of_another_grid_are_refused() -> None:
    labels, _ = box_body.box_labels()
    with pytest.raises(InternalError, match="fused"):
        measure(Volume(labels, box_body.grid(tilt_degrees=2.0)), box_body.fused_of(box_body.grid()))


def test_all_structures_are_reported_in_table_order() -> None:
    assert [m.structure for m in measured(absent=("femur",)).structures] == list(STRUCTURES)
