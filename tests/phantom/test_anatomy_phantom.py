"""The synthetic body is realistic enough for a muscle study."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from operators.core import anatomy
from phantom.anatomy import Tissues, body_grid, build_tissues, fit_body
from phantom.participant import draw_participant

SPACING = (4.0, 4.0, 4.0)


def tissues_of(seed: int, **stated: float) -> Tissues:
    participant = draw_participant(seed, **stated)  # type: ignore[arg-type]
    return build_tissues(participant, body_grid(participant, SPACING))


def volumes(tissues: Tissues) -> NDArray[np.float64]:
    counts = np.bincount(tissues.labels.ravel(), minlength=anatomy.CHANNEL_COUNT)
    return counts * tissues.grid.voxel_volume_mm3 / 1000


def total(by_label: NDArray[np.float64], names: tuple[str, ...]) -> float:
    return float(sum(by_label[anatomy.by_name(name).index] for name in names))


@pytest.fixture(scope="module")
def tissues() -> Tissues:
    return tissues_of(11)


def test_every_structure_is_there_on_both_sides(tissues: Tissues) -> None:
    middle = int(np.searchsorted(tissues.grid.origin_mm[0] + SPACING[0] * np.arange(tissues.grid.shape[2]), 0.0))
    for half in (tissues.labels[..., :middle], tissues.labels[..., middle:]):
        assert set(np.unique(half)) >= {s.index for s in anatomy.STRUCTURES}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_total_volume_and_ratio_are_the_requested_ones(seed: int) -> None:
    participant = draw_participant(seed)
    found = volumes(tissues_of(seed))
    assert total(found, anatomy.MUSCLES) == pytest.approx(participant.tmv_cm3, rel=0.03)
    ratio = total(found, anatomy.HAMSTRINGS) / total(found, anatomy.QUADRICEPS)
    assert ratio == pytest.approx(participant.pa_ratio, rel=0.03)


@pytest.mark.parametrize("ratio", [0.35, 0.55])
def test_a_given_ratio_is_met_and_does_not_change_the_rest_of_the_person(ratio: float) -> None:
    drawn, stated = draw_participant(5), draw_participant(5, pa_ratio=ratio)
    assert (drawn.height_cm, drawn.tmv_cm3, drawn.bmi) == (stated.height_cm, stated.tmv_cm3, stated.bmi)
    found = volumes(tissues_of(5, pa_ratio=ratio))
    assert total(found, anatomy.HAMSTRINGS) / total(found, anatomy.QUADRICEPS) == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("asymmetry", [-0.08, 0.08])
def test_a_stated_asymmetry_makes_that_thigh_the_larger(asymmetry: float) -> None:
    body = tissues_of(6, lr_asymmetry=asymmetry)
    thigh = [s.index for s in anatomy.STRUCTURES if s.compartment in anatomy.THIGH_COMPARTMENTS]
    inside = np.isin(body.labels, thigh)
    middle = body.grid.shape[2] // 2
    right, left = int(inside[..., :middle].sum()), int(inside[..., middle:].sum())
    assert (left - right) / max(left, right) == pytest.approx(asymmetry, abs=0.02)


def test_neighbours_touch_as_in_a_body(tissues: Tissues) -> None:
    def touches(one: str, other: str) -> bool:
        grown = ndimage.binary_dilation(tissues.labels == anatomy.by_name(one).index, iterations=2)
        return bool((grown & (tissues.labels == anatomy.by_name(other).index)).any())

    assert touches("vastus_intermedius", "femur")
    assert touches("vastus_lateralis", "vastus_intermedius")
    assert touches("semitendinosus", "semimembranosus")
    assert touches("gluteus_minimus", "gluteus_medius")
    assert touches("femur", "iliac_bone")
    assert touches("adductor_magnus", "semimembranosus")
    assert not touches("rectus_femoris", "gluteus_maximus")
    assert not touches("multifidus", "vastus_medialis")


def test_structures_are_where_anatomy_puts_them(tissues: Tissues) -> None:
    z, y, _ = (np.arange(n) for n in tissues.grid.shape)

    def height(name: str) -> float:
        return float(np.average(z, weights=(tissues.labels == anatomy.by_name(name).index).sum(axis=(1, 2))))

    def depth(name: str) -> float:
        return float(np.average(y, weights=(tissues.labels == anatomy.by_name(name).index).sum(axis=(0, 2))))

    assert height("vastus_medialis") < height("adductor_longus") < height("gluteus_medius") < height("multifidus")
    assert depth("rectus_femoris") < depth("femur") < depth("biceps_femoris")  # +y is posterior in LPS
    assert depth("rectus_abdominis") < depth("iliopsoas") < depth("multifidus")


def test_fat_is_under_the_skin_and_water_in_muscle(tissues: Tissues) -> None:
    muscle = np.isin(tissues.labels, [anatomy.by_name(name).index for name in anatomy.MUSCLES])
    signal = tissues.water + tissues.fat
    fraction = np.divide(tissues.fat, signal, out=np.zeros_like(signal), where=signal > 0)
    assert 0.02 < np.median(fraction[muscle]) < 0.3
    body = signal > 0
    under_skin = ndimage.binary_erosion(body, iterations=1) & ~ndimage.binary_erosion(body, iterations=2)
    assert np.median(fraction[under_skin]) > 0.8
    assert (signal[~ndimage.binary_dilation(body)] == 0).all()


def test_the_same_seed_is_the_same_body_and_another_is_another() -> None:
    participant = draw_participant(8)
    grid = body_grid(participant, (8.0, 8.0, 8.0))
    first, again = (build_tissues(participant, grid) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.water, again.water)
    other = build_tissues(draw_participant(9), grid)
    assert (other.labels != first.labels).any()


def test_volumes_do_not_depend_on_the_grid() -> None:
    participant = draw_participant(10)
    body = fit_body(participant)
    coarse = volumes(build_tissues(participant, body_grid(participant, (4.0, 4.0, 4.0)), body))
    fine = volumes(build_tissues(participant, body_grid(participant, (2.5, 2.5, 3.0)), body))
    large = fine > 60
    np.testing.assert_allclose(coarse[large], fine[large], rtol=0.04)


def test_hips_are_as_far_apart_as_those_of_people_and_arms_have_no_labels() -> None:
    hips = [88 * 2 * fit_body(draw_participant(seed), rounds=1).frame for seed in range(6)]
    assert min(hips) > 161 and max(hips) < 199  # 47 people of the archive (docs/people.md)
    tissues = tissues_of(500005)  # its left wrist is in the field of view
    z, _, x = (tissues.grid.origin_mm[n] + SPACING[n] * np.arange(tissues.grid.shape[2 - n]) for n in (2, 1, 0))
    arm = (tissues.water + tissues.fat)[z > 600][..., x > 225]
    assert (arm > 0).mean() > 0.02
    assert not tissues.labels[z > 600][..., x > 225].any()
