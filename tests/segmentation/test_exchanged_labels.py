"""Muscles of the thigh that have each other's names in labels of another tool."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from operators.core.anatomy import ADIPOSE_INDEX, by_name
from operators.core.label_schemes import LabelSource, load_scheme
from operators.core.volume import Grid
from operators.segmentation import import_labels
from operators.segmentation.exchanged_labels import exchanged_flags
from phantom.anatomy import body_grid, build_tissues
from phantom.participant import draw_participant
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
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_muscles_that_have_each_others_names_are_flagged(seed: int, one: str, other: str) -> None:
    labels, grid = phantom_labels(seed)
    (flag,) = exchanged_flags(exchanged(labels, one, other), grid)
    assert (flag.code, flag.severity) == ("implausible-anatomy", "warning")
    assert by_name(one).display_name.lower() in flag.message or by_name(other).display_name.lower() in flag.message


def test_one_leg_says_nothing_about_the_middle() -> None:
    labels, grid = phantom_labels(0)
    labels = labels.copy()
    labels[..., : labels.shape[2] // 2] = 0
    assert exchanged_flags(labels, grid) == ()


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
