"""Muscles of the thigh that have each other's names in labels of another tool."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, rotate

from operators.core.anatomy import ADIPOSE_INDEX, THIGH_MUSCLES, by_name
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.volume import Grid, Volume
from operators.segmentation import import_labels
from operators.segmentation.exchanged_labels import exchanged_flags
from phantom.anatomy import body_grid, build_tissues
from phantom.participant import draw_participant
from tests.real_bodies import pelvis_labels
from tests.segmentation.thighs import SHAPE, fused_thighs, write_nifti

SEEDS = range(5)


@cache
def phantom_labels(seed: int) -> tuple[NDArray[np.uint8], Grid]:
    person = draw_participant(seed)
    tissues = build_tissues(person, body_grid(person, (6.0, 6.0, 6.0)))
    labels = np.where(tissues.labels == ADIPOSE_INDEX, 0, tissues.labels)
    return labels.astype(np.uint8), tissues.grid


def exchanged(labels: NDArray[np.uint8], one: str, other: str) -> NDArray[np.uint8]:
    numbers = np.arange(256, dtype=np.uint8)
    numbers[[by_name(one).index, by_name(other).index]] = by_name(other).index, by_name(one).index
    return numbers[labels]


def legs_turned(labels: NDArray[np.uint8], grid: Grid, degrees: float) -> NDArray[np.uint8]:
    """Each leg turned outwards about its femur, slice by slice; what is left behind is no label."""
    thigh = [by_name(name).index for name in (*THIGH_MUSCLES, "femur")]
    turned = np.where(np.isin(labels, thigh), 0, labels).astype(np.uint8)
    femur = labels == by_name("femur").index
    rows, columns = (np.arange(n) for n in labels.shape[1:])
    middle = float(np.average(columns, weights=femur.sum(axis=(0, 1))))
    spacing = np.array(grid.spacing_mm[1::-1])[:, None, None]
    for side, sign in ((columns < middle, -1), (columns >= middle, 1)):
        angle = sign * np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.array([np.nan, np.nan])
        for k in range(len(labels)):
            bone = np.argwhere(femur[k] & side)
            centre = bone.mean(axis=0) if len(bone) else centre
            leg = np.where(np.isin(labels[k], thigh) & side, labels[k], 0)
            if leg.any() and np.isfinite(centre).all():
                away = (np.stack(np.meshgrid(rows, columns, indexing="ij")) - centre[:, None, None]) * spacing
                source = np.tensordot(turn, away, axes=1) / spacing + centre[:, None, None]
                moved = map_coordinates(leg, source, order=0)
                turned[k] = np.where(moved > 0, moved, turned[k])
    return turned


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_of_a_phantom_are_not_doubted(seed: int) -> None:
    labels, grid = phantom_labels(seed)
    assert exchanged_flags(labels, grid) == ()
    affine = grid.affine.copy()
    affine[:3, 1] *= -1
    affine[1, 3] += grid.shape[1] * grid.spacing_mm[1]
    assert exchanged_flags(np.ascontiguousarray(labels[:, ::-1]), Grid(grid.shape, affine)) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vastus_lateralis", "biceps_femoris"),
        ("vastus_medialis", "semimembranosus"),
        ("vastus_medialis", "vastus_lateralis"),
        ("semitendinosus", "biceps_femoris"),
        ("rectus_femoris", "vastus_intermedius"),
        ("gracilis", "rectus_femoris"),
        ("adductor_longus", "adductor_magnus"),
        ("semimembranosus", "semitendinosus"),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_muscles_that_have_each_others_names_are_flagged(seed: int, one: str, other: str) -> None:
    labels, grid = phantom_labels(seed)
    (flag,) = exchanged_flags(exchanged(labels, one, other), grid)
    assert (flag.code, flag.severity) == ("implausible-anatomy", "warning")
    assert by_name(one).display_name.lower() in flag.message or by_name(other).display_name.lower() in flag.message


@pytest.mark.parametrize(
    ("one", "other"), [("vastus_lateralis", "biceps_femoris"), ("semimembranosus", "semitendinosus")]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_muscles_of_one_leg_that_have_each_others_names_are_flagged_with_the_leg(
    seed: int, one: str, other: str
) -> None:
    labels, grid = phantom_labels(seed)
    labels = labels.copy()
    middle = labels.shape[2] // 2
    labels[..., middle:] = exchanged(labels[..., middle:], one, other)
    (flag,) = exchanged_flags(labels, grid)
    assert "(in the left leg)" in flag.message and "(in the right leg)" not in flag.message


@pytest.mark.parametrize("degrees", [-30, 30])
@pytest.mark.parametrize("seed", SEEDS)
def test_legs_turned_about_their_length_are_not_doubted_unless_muscles_are_exchanged(seed: int, degrees: int) -> None:
    labels, grid = phantom_labels(seed)
    turned = legs_turned(labels, grid, degrees)
    assert exchanged_flags(turned, grid) == ()
    for pair in (("vastus_lateralis", "biceps_femoris"), ("semimembranosus", "semitendinosus")):
        assert len(exchanged_flags(exchanged(turned, *pair), grid)) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_body_that_lies_turned_is_not_said_to_have_exchanged_muscles(seed: int) -> None:
    """That the file's orientation is wrong is told by other checks."""
    labels, grid = phantom_labels(seed)
    for turned in (labels[:, ::-1, ::-1], *(rotate(labels, a, axes=(1, 2), order=0, reshape=False) for a in (-30, 30))):
        assert exchanged_flags(np.ascontiguousarray(turned), grid) == ()


@pytest.mark.parametrize("mm", [100, 180])
@pytest.mark.parametrize("seed", SEEDS)
def test_exchanged_hamstrings_are_seen_in_a_slab_of_the_thigh(seed: int, mm: int) -> None:
    labels, grid = phantom_labels(seed)
    fold = int(np.flatnonzero((labels == by_name("gluteus_maximus").index).any(axis=(1, 2)))[0])
    slab = np.ascontiguousarray(labels[fold - round(mm / grid.spacing_mm[2]) : fold])
    there = Grid(slab.shape, grid.affine)
    assert exchanged_flags(slab, there) == ()
    assert len(exchanged_flags(exchanged(slab, "semimembranosus", "semitendinosus"), there)) == 1


def test_a_muscle_that_is_labelled_with_another_only_is_compared_too() -> None:
    labels, grid = phantom_labels(0)
    vasti = ("vastus_lateralis", "vastus_intermedius")
    for given, expected in ((labels, 0), (exchanged(labels, "vastus_lateralis", "biceps_femoris"), 1)):
        together = np.isin(given, [by_name(name).index for name in vasti])
        single = np.where(together & (given != 0), 0, given).astype(np.uint8)
        group = Volume(together.astype(np.uint8), grid)
        assert len(exchanged_flags(single, grid, {"outer vasti": vasti}, group)) == expected


@pytest.mark.real_data
def test_labels_drawn_by_hand_in_people_are_not_doubted() -> None:
    for name in ("001", "002", "004", "005"):
        labels, grid = pelvis_labels(name)
        assert exchanged_flags(labels, grid) == ()
        for degrees in (-30, 30):
            assert exchanged_flags(legs_turned(labels, grid, degrees), grid) == ()


def test_one_leg_says_nothing_about_the_middle() -> None:
    labels, grid = phantom_labels(0)
    labels = labels.copy()
    labels[..., : labels.shape[2] // 2] = 0
    assert exchanged_flags(labels, grid) == ()
    assert len(exchanged_flags(exchanged(labels, "semimembranosus", "semitendinosus"), grid)) == 1


def test_exchanged_labels_of_another_tool_are_flagged(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for lateral, medial in ((slice(4, 9), slice(9, 14)), (slice(31, 36), slice(26, 31))):
        for name, rows, side in (
            ("rectus_femoris", slice(4, 6), lateral),
            ("vastus_lateralis", slice(6, 9), lateral),
            ("vastus_medialis", slice(4, 9), medial),
            ("biceps_femoris", slice(12, 15), lateral),
            ("semimembranosus", slice(12, 15), medial),
        ):
            labels[:, rows, side] = by_name(name).index
    scheme = load_scheme("ours")
    for given, expected in ((labels, 0), (exchanged(labels, "vastus_lateralis", "biceps_femoris"), 1)):
        found, _ = import_labels(fused_thighs(), [LabelSource(write_nifti(tmp_path / "l.nii", given), scheme)])
        assert [flag.code for flag in found.flags].count("implausible-anatomy") == expected
