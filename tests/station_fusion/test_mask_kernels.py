"""The compiled morphology compared with scipy.ndimage."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage

from operators.station_fusion.mask_kernels import (
    close_and_fill,
    close_legs_apart,
    fill_slices,
    keep_large_parts,
    open_slices,
)

CROSS = ndimage.generate_binary_structure(2, 1)
#: Rows of a disc with a radius of two voxels, and of one that is wider than high.
SHAPES = ([1, 2, 2, 2, 1], [0, 1, 0], [3, 3, 3], [0])
MASKS = st.builds(
    lambda shape, seed, share: np.random.default_rng(seed).random(shape) < share,
    arrays.array_shapes(min_dims=3, max_dims=3, min_side=3, max_side=14),
    st.integers(0, 10_000),
    st.floats(0.0, 1.0),
)


def structure(reach: list[int]) -> NDArray[np.bool_]:
    widest = max(reach)
    return np.array([np.abs(np.arange(-widest, widest + 1)) <= half for half in reach])


@settings(max_examples=60, deadline=None)
@given(mask=MASKS)
def test_slices_are_opened_by_a_cross(mask: NDArray[np.bool_]) -> None:
    opened = np.zeros(mask.shape, dtype=np.uint8)
    open_slices(mask.astype(np.float32), np.float32(0.5), opened)
    for ours, axial in zip(opened, mask, strict=True):
        np.testing.assert_array_equal(ours, ndimage.binary_opening(axial, CROSS))


@settings(max_examples=100, deadline=None)
@given(mask=MASKS, share=st.floats(0.01, 1.0))
def test_small_parts_are_cleared(mask: NDArray[np.bool_], share: float) -> None:
    ours = mask.astype(np.uint8)
    keep_large_parts(ours, share)
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    np.testing.assert_array_equal(ours, mask & (sizes >= share * sizes.max())[labels])


@settings(max_examples=100, deadline=None)
@given(mask=MASKS, reach=st.sampled_from(SHAPES))
def test_slices_are_closed_and_their_holes_filled(mask: NDArray[np.bool_], reach: list[int]) -> None:
    ours = mask.astype(np.uint8)
    close_and_fill(ours, np.array(reach))
    for filled, axial in zip(ours, mask, strict=True):
        # Pad the slice, so that parts that touch its border are not eroded from there.
        closed = ndimage.binary_closing(np.pad(axial, 8), structure(reach))[8:-8, 8:-8]
        np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(closed))


@settings(max_examples=60, deadline=None)
@given(mask=MASKS)
def test_holes_of_slices_are_filled(mask: NDArray[np.bool_]) -> None:
    filled = mask.astype(np.uint8)
    fill_slices(filled)
    for ours, axial in zip(filled, mask, strict=True):
        np.testing.assert_array_equal(ours, ndimage.binary_fill_holes(axial))


def legs(gap: int) -> NDArray[np.bool_]:
    """A slice with two thighs, ``gap`` columns apart, with a fold in the skin of one and a hand beside the other."""
    body = np.zeros((40, 70), np.bool_)
    body[5:35, 5:30] = body[8:33, 30 + gap : 55] = True
    body[5:12, 17] = False  # the fold
    body[18:24, 58:64] = True  # the hand
    return body


@pytest.mark.parametrize("gap", [1, 3])
def test_legs_are_closed_one_by_one(gap: int) -> None:
    body = legs(gap)
    ours = body[None].astype(np.uint8)
    close_legs_apart(ours, np.array([1, 2, 2, 2, 1]), 0.3)
    between = ours[0, :, 30 : 30 + gap]
    assert not between.any()
    assert ours[0, 5:12, 17].all()  # the fold is closed
    together = body[None].astype(np.uint8)
    close_and_fill(together, np.array([1, 2, 2, 2, 1]))
    assert together[0, :, 30 : 30 + gap].any()
    np.testing.assert_array_equal(
        np.delete(ours[0], slice(30, 30 + gap), 1), np.delete(together[0], slice(30, 30 + gap), 1)
    )


def test_parts_of_one_leg_are_closed_together() -> None:
    """A dark layer divides each thigh into front and back, which lie over each other."""
    body = legs(3)
    body[19:21] = False
    ours = body[None].astype(np.uint8)
    close_legs_apart(ours, np.array([1, 2, 2, 2, 1]), 0.3)
    assert ours[0, 19:21, 8:27].all() and ours[0, 19:21, 36:52].all() and not ours[0, :, 30:33].any()


@settings(max_examples=60, deadline=None)
@given(mask=MASKS, reach=st.sampled_from(SHAPES))
def test_without_two_legs_closing_is_the_same(mask: NDArray[np.bool_], reach: list[int]) -> None:
    ours, expected = mask.astype(np.uint8), mask.astype(np.uint8)
    ours[:, 1] = expected[:, 1] = 1  # one part runs from side to side
    close_legs_apart(ours, np.array(reach), 0.3)
    close_and_fill(expected, np.array(reach))
    np.testing.assert_array_equal(ours, expected)


def test_one_and_two_threads_give_the_same_mask() -> None:
    if numba.get_num_threads() < 2:
        pytest.skip("one processor")
    signal = ndimage.gaussian_filter(np.random.default_rng(3).random((40, 50, 60)), 2).astype(np.float32)
    results = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        mask = np.zeros(signal.shape, dtype=np.uint8)
        open_slices(signal, np.float32(0.5), mask)
        keep_large_parts(mask, 0.1)
        close_legs_apart(mask, np.array([1, 2, 2, 2, 1]), 0.3)
        results.append(mask)
    np.testing.assert_array_equal(results[0], results[1])
    assert 0 < results[0].mean() < 1
