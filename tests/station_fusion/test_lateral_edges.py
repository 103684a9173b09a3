"""A body that reaches the lateral edge of the field of view is flagged with its side and place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.station_fusion.lateral_edges import edge_columns, labels_at_edges, lateral_edge_flags
from tests.station_fusion.made_stations import make_grid

GRID = make_grid((40, 20, 30), (2.0, 2.0, 5.0), (-29.0, -19.0, 100.0))


def body(*touching: tuple[slice, int]) -> np.ndarray:
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[:, 5:15, 5:25] = True
    for slices, column in touching:
        mask[slices, 8:10, column:] = column > 15
        mask[slices, 8:10, : column + 1] |= column < 15
    return mask


def test_a_body_inside_the_field_of_view_has_no_flag() -> None:
    assert lateral_edge_flags(body(), GRID, [GRID]) == ()


def test_side_and_place_are_named() -> None:
    (flag,) = lateral_edge_flags(body((slice(10, 14), 25)), GRID, [GRID])
    assert (flag.code, flag.severity) == ("cut-at-side", "warning")
    assert "patient's left" in flag.message
    assert flag.z_mm == (pytest.approx(147.5), pytest.approx(167.5))
    (flag,) = lateral_edge_flags(body((slice(10, 14), 4)), GRID, [GRID])
    assert "patient's right" in flag.message
    affine = GRID.affine.copy()
    affine[0, 0] *= -1
    (flag,) = lateral_edge_flags(body((slice(10, 14), 4)), replace(GRID, affine=affine), [])
    assert "patient's left" in flag.message


def test_slices_outside_the_labelled_range_are_not_looked_at() -> None:
    assert lateral_edge_flags(body((slice(30, 34), 25)), GRID, [GRID], (0, 28)) == ()


def test_the_edge_is_that_of_the_station_not_of_the_grid() -> None:
    narrow = make_grid((20, 20, 20), (2.0, 2.0, 5.0), (-19.0, -19.0, 100.0))  # columns 5 to 24 of the lower half
    upper = make_grid((20, 20, 30), (2.0, 2.0, 5.0), (-29.0, -19.0, 200.0))
    columns = edge_columns(GRID, [narrow, upper])
    assert columns[:20].tolist() == [[5, 24]] * 20 and columns[20:].tolist() == [[0, 29]] * 20
    flags = lateral_edge_flags(body(), GRID, [narrow, upper])
    assert [flag.z_mm for flag in flags] == [(97.5, 197.5)] * 2


def test_labels_at_the_edge_of_a_narrow_station_are_cut_and_those_inside_a_wide_one_are_not() -> None:
    narrow = make_grid((20, 12, 20), (2.0, 2.0, 5.0), (-19.0, -11.0, 100.0))  # columns 5 to 24, rows 4 to 15
    wide = make_grid((20, 20, 30), (2.0, 2.0, 5.0), (-29.0, -19.0, 200.0))
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[5, 10, 24], labels[6, 10, 5], labels[7, 15, 10], labels[8, 4, 10] = 1, 2, 3, 4
    labels[5:9, 8:12, 12:16] = 5
    labels[25:30, 3:17, 4:26] = 6
    assert labels_at_edges(labels, GRID, [narrow, wide]) == {0, 1, 2, 3, 4}
    labels[30, 0, 10] = 7
    assert labels_at_edges(labels, GRID, []) == {0, 7}


@pytest.mark.parametrize("bridge", [0, 1, 2])
def test_an_arm_that_is_cut_is_not_the_body_though_both_touch(bridge: int) -> None:
    grid = make_grid((10, 40, 50), (8.0, 8.0, 5.0), (-196.0, -156.0, 0.0))
    with_arm = np.zeros(grid.shape, np.bool_)
    with_arm[:, 8:32, 8:36] = True  # a trunk of 224 x 192 mm
    with_arm[:, 16:24, 38:] = True  # an arm that the edge cuts
    with_arm[:, 16 : 16 + 3 * bridge, 34:40] = True
    assert lateral_edge_flags(with_arm, grid, [grid]) == ()
    with_arm[3, 8:32, 8:] = True  # here the trunk itself is cut
    (flag,) = lateral_edge_flags(with_arm, grid, [grid])
    assert flag.code == "cut-at-side" and "left" in flag.message


@pytest.mark.parametrize(("wide", "sides"), [(20, 2), (30, 2), (40, 0)])
def test_a_wide_body_is_cut_on_both_sides_and_an_image_without_any_outline_was_cut_on_purpose(
    wide: int, sides: int
) -> None:
    mask = body()
    mask[40 - wide :, 5:15] = True
    assert len(lateral_edge_flags(mask, GRID, [GRID])) == sides


def test_arms_at_both_edges_do_not_hide_that_the_hip_is_cut() -> None:
    grid = make_grid((10, 40, 50), (8.0, 8.0, 5.0), (-196.0, -156.0, 0.0))
    with_arms = np.zeros(grid.shape, np.bool_)
    with_arms[:, 8:32, 12:38] = True
    with_arms[:, 16:24, :10] = with_arms[:, 16:24, 40:] = True
    assert lateral_edge_flags(with_arms, grid, [grid]) == ()
    with_arms[2:5, 8:32, 12:] = True
    (flag,) = lateral_edge_flags(with_arms, grid, [grid])
    assert "left" in flag.message


def test_a_leg_much_thinner_than_the_other_is_no_arm() -> None:
    grid = make_grid((10, 60, 100), (4.0, 4.0, 5.0), (-198.0, -118.0, 0.0))
    y, x = np.mgrid[:60, :100] * 4.0
    legs = np.hypot(x - 100, y - 118) < 88
    legs |= np.hypot(x - 358, y - 118) < 52  # of 396 mm: 14 mm of it are cut
    (flag,) = lateral_edge_flags(np.broadcast_to(legs, grid.shape), grid, [grid])
    assert "left" in flag.message
