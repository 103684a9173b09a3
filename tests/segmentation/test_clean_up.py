"""Islands take the label around them; both sides of a muscle stay."""

from __future__ import annotations

import numpy as np

from operators.segmentation.clean_up import clean_up


def test_an_island_takes_the_label_around_it_and_both_sides_stay() -> None:
    labels = np.zeros((12, 12, 30), dtype=np.uint8)
    labels[2:10, 2:10, 1:9] = labels[2:10, 2:10, 20:28] = 3  # left and right
    labels[2:10, 2:10, 9:13] = 5
    labels[5, 5, 4] = 5  # an island of 5 in 3
    labels[0, 0, 29] = 3  # an island in the corner, in the background
    labels[6, 6, 27] = 7  # the only part of 7, so not an island
    cleaned, changed = clean_up(labels)
    expected = labels.copy()
    expected[5, 5, 4] = 3
    expected[0, 0, 29] = 0
    np.testing.assert_array_equal(cleaned, expected)
    assert changed == 2 and labels[5, 5, 4] == 5


def test_parts_that_are_large_enough_stay() -> None:
    labels = np.zeros((4, 4, 20), dtype=np.uint8)
    labels[:, :, :8] = 1
    labels[:2, :2, 10:13] = 1  # 12 of 128 voxels
    np.testing.assert_array_equal(clean_up(labels)[0], labels)
    assert clean_up(labels, smallest_part=0.1)[1] == 12
