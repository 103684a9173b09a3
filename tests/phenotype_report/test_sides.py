"""Left and right are separated in patient coordinates, for any orientation of patient and grid."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, MUSCLES, STRUCTURES, by_name
from operators.core.volume import Grid, Volume
from operators.phenotype_report.mid_surface import find_mid_surface
from operators.phenotype_report.sides import side_volume, tally
from tests import box_body
from tests.real_bodies import pelvis_labels


@pytest.mark.parametrize(
    "turned",
    [
        {},
        {"rotation_z_degrees": 10.0},
        {"tilt_degrees": 6.0},
        {"rotation_z_degrees": -8.0, "tilt_degrees": -5.0},
    ],
    ids=["straight", "rolled", "tilted", "rolled-and-tilted"],
)
def test_every_voxel_of_an_uneven_body_is_counted_on_its_side(turned: dict[str, float]) -> None:
    grid = box_body.grid(**turned)  # type: ignore[arg-type]
    labels, expected = box_body.box_labels(left_scale=0.7)
    volume = Volume(labels, grid)
    counted = tally(volume, np.zeros(grid.shape, np.float32), find_mid_surface(volume))
    assert {s.name: counted.voxels[s.index].tolist() for s in STRUCTURES} == expected


def test_left_is_the_patients_left_when_columns_run_to_the_right() -> None:
    grid = box_body.grid(flip_x=True)
    labels, expected = box_body.box_labels(left_scale=0.7)
    volume = Volume(labels, grid)
    counted = tally(volume, np.zeros(grid.shape, np.float32), find_mid_surface(volume))
    assert {s.name: counted.voxels[s.index, ::-1].tolist() for s in STRUCTURES} == expected


def test_legs_to_one_side_of_the_pelvis_keep_their_own_middle() -> None:
    labels, expected = box_body.box_labels()
    low = slice(0, 32)  # the femora's slices; pelvis and trunk stay where they are
    bent = labels.copy()
    for k in range(low.stop):
        bent[k] = np.roll(labels[k], round(6 * (low.stop - k) / low.stop), axis=1)
    volume = Volume(bent, box_body.grid())
    surface = find_mid_surface(volume)
    assert surface is not None
    counted = tally(volume, np.zeros(bent.shape, np.float32), surface)
    for muscle in MUSCLES:
        left, right = counted.voxels[by_name(muscle).index]
        assert [left, right] == pytest.approx(expected[muscle], rel=0.03), muscle


def test_one_femur_cut_short_does_not_move_the_middle() -> None:
    labels, expected = box_body.box_labels()
    labels[:18, :, : labels.shape[2] // 2][labels[:18, :, : labels.shape[2] // 2] == by_name("femur").index] = 0
    volume = Volume(labels, box_body.grid(tilt_degrees=4.0))
    counted = tally(volume, np.zeros(labels.shape, np.float32), find_mid_surface(volume))
    assert {m: counted.voxels[by_name(m).index].tolist() for m in MUSCLES} == {m: expected[m] for m in MUSCLES}


def test_muscles_separate_the_sides_if_no_bone_is_labelled() -> None:
    labels, expected = box_body.box_labels(absent=("femur", "iliac_bone"))
    volume = Volume(labels, box_body.grid(tilt_degrees=3.0))
    surface = find_mid_surface(volume)
    assert surface is not None
    assert surface.source == "muscles"
    counted = tally(volume, np.zeros(labels.shape, np.float32), surface)
    assert {m: counted.voxels[by_name(m).index].tolist() for m in MUSCLES} == {m: expected[m] for m in MUSCLES}


def test_a_single_leg_has_no_sides() -> None:
    labels, _ = box_body.box_labels()
    labels[:, :, : labels.shape[2] // 2] = 0
    assert find_mid_surface(Volume(labels, box_body.grid())) is None


def wide_muscle_of_the_left_half() -> NDArray[np.uint8]:
    """The left half of the body, with a gluteus maximus whose own halves are 60 mm apart."""
    labels, _ = box_body.box_labels()
    labels[:, :, : labels.shape[2] // 2] = 0
    labels[20:50, 1:4, 46:70] = by_name("gluteus_maximus").index
    return labels


def test_half_of_a_body_has_no_middle_in_a_wide_muscle() -> None:
    assert find_mid_surface(Volume(wide_muscle_of_the_left_half(), box_body.grid())) is None


@pytest.mark.real_data
@pytest.mark.parametrize("person", ["001", "002", "004", "005"])
def test_half_of_a_person_has_no_middle(person: str) -> None:
    labels, grid = pelvis_labels(person)
    whole = find_mid_surface(Volume(labels, grid))
    assert whole is not None
    sides = side_volume(grid, whole).voxels
    for side in (1, 2):
        half = np.where(sides == side, labels, 0).astype(np.uint8)
        assert find_mid_surface(Volume(half, grid)) is None, side
    muscles = np.where(labels < by_name("iliac_bone").index, labels, 0).astype(np.uint8)
    without_bones = find_mid_surface(Volume(muscles, grid))
    assert without_bones is not None and without_bones.source == "muscles"
    np.testing.assert_allclose(without_bones.x_mm, whole.x_mm, atol=15)


def test_one_leg_with_the_muscles_of_both_halves_of_the_trunk_keeps_the_middle_of_the_trunk() -> None:
    labels = wide_muscle_of_the_left_half()
    labels[52:60, 10:12, 10:18] = labels[52:60, 10:12, 62:70] = by_name("abdominal_oblique").index
    surface = find_mid_surface(Volume(labels, box_body.grid()))
    assert surface is not None and surface.source == "muscles"
    middle = box_body.grid().affine @ np.array([(labels.shape[2] - 1) / 2, 0, 0, 1])
    assert surface.x_mm == pytest.approx(np.full(len(surface.x_mm), middle[0]), abs=3.0)


def test_an_empty_label_map_has_no_sides() -> None:
    assert find_mid_surface(Volume(np.zeros(box_body.SHAPE, np.uint8), box_body.grid())) is None


def test_side_volume_agrees_with_the_tally() -> None:
    grid = box_body.grid(rotation_z_degrees=7.0, tilt_degrees=2.0)
    labels, _ = box_body.box_labels(left_scale=0.7)
    volume = Volume(labels, grid)
    surface = find_mid_surface(volume)
    assert surface is not None
    sides = side_volume(grid, surface).voxels
    counted = tally(volume, np.zeros(grid.shape, np.float32), surface)
    for structure in STRUCTURES:
        here = sides[labels == structure.index]
        assert [int((here == 1).sum()), int((here == 2).sum())] == counted.voxels[structure.index].tolist()


def test_values_outside_the_label_table_are_not_counted() -> None:
    labels = np.full((4, 4, 4), ADIPOSE_INDEX, dtype=np.uint8)
    labels[0] = 200
    counted = tally(Volume(labels, Grid((4, 4, 4), np.eye(4))), np.ones((4, 4, 4), np.float32), None)
    assert counted.voxels.sum() == 0
