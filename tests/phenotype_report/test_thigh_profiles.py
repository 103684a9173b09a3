"""Areas along the femur against boxes of known size."""

from __future__ import annotations

import numpy as np
import pytest

from operators.core.anatomy import STRUCTURES, by_name
from operators.core.volume import Grid, Volume
from operators.phenotype_report import find_mid_surface
from operators.phenotype_report.muscle_fat import CoreOfSlices
from operators.phenotype_report.profile_charts import profile_charts
from operators.phenotype_report.thigh_profiles import thigh_profiles

SPACING = (2.0, 2.0, 4.0)  # x, y, z
LOW, HIGH = 5, 45  # slices of the femora
PIXEL_CM2 = SPACING[0] * SPACING[1] / 100


def legs(descending: bool = False, left_from: int = LOW) -> Volume:
    """Two femora, and beside each a vastus lateralis that grows upwards; the left one has twice as many columns."""
    femur, vastus = by_name("femur").index, by_name("vastus_lateralis").index
    labels = np.zeros((50, 30, 80), np.uint8)
    for first, wide, low in ((50, 8, left_from), (25, 4, LOW)):  # left, right
        labels[low:HIGH, 10:15, first : first + 5] = femur
        for k in range(LOW, HIGH):
            labels[k, 16 : 16 + (k - LOW) // 10 + 1, first : first + wide] = vastus
    affine = np.diag([*SPACING, 1.0])
    if descending:
        labels = labels[::-1].copy()
        affine[2, 2] *= -1
        affine[2, 3] = 49 * SPACING[2]
    return Volume(labels, Grid((50, 30, 80), affine))


@pytest.mark.parametrize("descending", [False, True])
def test_areas_are_those_of_the_boxes_on_each_side(descending: bool) -> None:
    labels = legs(descending)
    found = thigh_profiles(labels, find_mid_surface(labels))
    assert set(found) == {"left", "right"}
    left = found["left"]
    assert left.high_mm - left.low_mm == pytest.approx((HIGH - LOW) * SPACING[2])
    assert left.areas_cm2["Quadriceps"][0] == pytest.approx(8 * PIXEL_CM2)
    assert left.areas_cm2["Quadriceps"][-1] == pytest.approx(4 * 8 * PIXEL_CM2)
    assert left.areas_cm2["Hamstrings"].max() == 0
    assert left.mid_thigh_cm2 == pytest.approx(2 * found["right"].mid_thigh_cm2)
    assert left.position[0] == pytest.approx(0.5 / (HIGH - LOW))


def test_a_femur_that_is_cut_gives_no_profile() -> None:
    cut = legs(left_from=0)
    assert set(thigh_profiles(cut, find_mid_surface(cut))) == {"right"}
    whole = legs()
    assert thigh_profiles(whole, find_mid_surface(whole), (LOW, 50)) == {}
    assert thigh_profiles(whole, None) == {}


def test_an_island_of_the_label_does_not_move_the_end_of_the_femur() -> None:
    clean = legs()
    voxels = clean.voxels.copy()
    voxels[47:49, 20:22, 52:54] = by_name("femur").index
    labels = Volume(voxels, clean.grid)
    found, expected = (thigh_profiles(one, find_mid_surface(one)) for one in (labels, clean))
    assert found["left"].high_mm == expected["left"].high_mm
    assert found["left"].mid_thigh_cm2 == pytest.approx(expected["left"].mid_thigh_cm2)


def test_femora_of_very_different_length_give_no_profile() -> None:
    labels = legs(left_from=LOW + 10)
    assert thigh_profiles(labels, find_mid_surface(labels)) == {}


def test_fat_of_the_cores_is_that_of_the_slices() -> None:
    labels = legs()
    shape = (labels.grid.shape[0], 2, len(STRUCTURES) + 1)
    voxels, sums = np.zeros(shape), np.zeros(shape)
    vastus = by_name("vastus_lateralis").index
    voxels[:, 0, vastus] = 100.0
    sums[:, 0, vastus] = 100.0 * np.linspace(0.0, 0.49, 50)
    found = thigh_profiles(labels, find_mid_surface(labels), core=CoreOfSlices(voxels, sums))
    assert found["left"].core_fat["Quadriceps"][1:-1] == pytest.approx(np.arange(LOW + 1, HIGH - 1) / 100)
    assert np.isnan(found["right"].core_fat["Quadriceps"]).all()


def test_charts_show_seams_between_10_and_90_percent_only() -> None:
    labels = legs()
    profiles = thigh_profiles(labels, find_mid_surface(labels))
    stations = [{"index": 0, "z_low_mm": 0.0, "z_high_mm": 100.0}]
    charts = profile_charts(profiles, stations)
    assert [len(chart.seams) for chart in charts] == [1] * 4
    assert {side for side, _ in charts[0].lines} == {"left", "right"}
    assert [text for _, text in charts[0].stations] == ["1"]
    assert profile_charts({}, stations) == ()


def test_a_group_of_which_a_muscle_has_no_volume_is_not_shown() -> None:
    labels = legs()
    profiles = thigh_profiles(labels, find_mid_surface(labels))
    every = frozenset(s.name for s in STRUCTURES)
    charts = profile_charts(profiles, [], {"left": every, "right": every - {"vastus_lateralis"}})
    shown = {chart.title: {side for side, _ in chart.lines} for chart in charts}
    assert shown == {
        "Thigh muscles": {"left"},
        "Quadriceps": {"left"},
        "Hamstrings": {"left", "right"},
        "Adductors": {"left", "right"},
    }
    without = every - {"vastus_lateralis"}
    assert [c.title for c in profile_charts(profiles, [], {"left": without, "right": without})] == [
        "Hamstrings",
        "Adductors",
    ]
