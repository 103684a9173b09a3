"""Scores on a coarse grid become labels on a fine one, with the result of SimpleITK's linear interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.core.errors import InternalError
from operators.core.volume import Grid
from operators.segmentation.scores import labels_from_bands, map_scores
from operators.segmentation.stream import Band

FINE_SHAPE = (19, 11, 13)  # (z, y, x): more slices than one slab
FINE_SPACING = (2.0, 3.0, 2.5)
TIE = 1e-4


def labels_from_scores(scores: torch.Tensor, affine: NDArray[np.float64], grid: Grid) -> NDArray[np.uint8]:
    """The labels of the whole image, whose scores (channels, x, y, z) come as one band."""
    mapping = map_scores((scores.shape[1], scores.shape[2], scores.shape[3]), affine, grid)
    return labels_from_bands([Band.whole(scores)], mapping, np.ones(grid.shape, dtype=np.bool_))[0]


def rotation(degrees: float) -> NDArray[np.float64]:
    """About the axis (1, 1, 1)."""
    a = np.radians(degrees)
    k = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return np.asarray(np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k)


def fine_grid(turned: NDArray[np.float64]) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = turned @ np.diag(FINE_SPACING)
    affine[:3, 3] = (-20.0, 35.0, -700.0)
    return Grid(FINE_SHAPE, affine)


def coarse_affine(
    grid: Grid, spacing: NDArray[np.float64], shift: NDArray[np.float64], flips: tuple[int, int, int]
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """A grid that covers ``grid`` with parallel axes (some reversed), and its size along (x, y, z)."""
    extent = (np.array(grid.shape[::-1]) - 1) * grid.spacing_mm
    sizes = np.ceil((extent + 2 * spacing) / spacing).astype(int) + 1
    directions = grid.affine[:3, :3] / grid.spacing_mm
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing * flips
    first = np.where(np.array(flips) > 0, -shift * spacing, (sizes - 1 - shift) * spacing)
    affine[:3, 3] = grid.origin_mm + directions @ first
    return affine, (int(sizes[0]), int(sizes[1]), int(sizes[2]))


def smooth_scores(channels: int, sizes: tuple[int, int, int], seed: int) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.normal(size=(channels, *sizes)).astype(np.float32))


def by_simpleitk(scores: torch.Tensor, affine: NDArray[np.float64], grid: Grid) -> NDArray[np.float32]:
    """Resample each channel to the grid with ITK: shape (channels, z, y, x)."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    reference = sitk.Image(*(int(n) for n in grid.shape[::-1]), sitk.sitkFloat32)
    reference.SetSpacing(grid.spacing_mm)
    reference.SetOrigin(grid.origin_mm.tolist())
    reference.SetDirection((grid.affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    out = []
    for channel in scores.numpy():
        image = sitk.GetImageFromArray(np.ascontiguousarray(channel.transpose(2, 1, 0)))
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        out.append(sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, -99.0)))
    return np.stack(out)


@settings(max_examples=40, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(1.0, 9.0)] * 3),
    shift=st.tuples(*[st.floats(0.05, 0.95)] * 3),
    flips=st.tuples(*[st.sampled_from([1, -1])] * 3),
    degrees=st.sampled_from([0.0, 7.0, -40.0]),
    seed=st.integers(0, 2**16),
)
def test_labels_are_the_largest_of_the_scores_that_simpleitk_interpolates(
    spacing: tuple[float, float, float],
    shift: tuple[float, float, float],
    flips: tuple[int, int, int],
    degrees: float,
    seed: int,
) -> None:
    grid = fine_grid(rotation(degrees))
    affine, sizes = coarse_affine(grid, np.array(spacing), np.array(shift), flips)
    scores = smooth_scores(4, sizes, seed)
    labels = labels_from_scores(scores, affine, grid)
    theirs = by_simpleitk(scores, affine, grid)
    assert theirs.min() > -99.0  # the coarse grid covers the fine one
    first, second = np.sort(theirs, axis=0)[[-1, -2]]
    clear = first - second > TIE
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(labels[clear], theirs.argmax(axis=0)[clear])


def test_axes_in_another_order_are_followed() -> None:
    grid = fine_grid(np.eye(3))
    affine, sizes = coarse_affine(grid, np.array([4.0, 5.0, 6.0]), np.array([0.3, 0.4, 0.5]), (1, -1, 1))
    scores = smooth_scores(3, sizes, 1)
    turned = scores.permute(0, 3, 1, 2)  # its axes are z, x, y
    turned_affine = affine[:, [2, 0, 1, 3]]
    np.testing.assert_array_equal(
        labels_from_scores(turned, turned_affine, grid), labels_from_scores(scores, affine, grid)
    )


def test_voxels_beyond_the_coarse_grid_take_its_nearest_scores() -> None:
    grid = Grid((3, 3, 9), np.eye(4))
    affine = np.eye(4)
    affine[0, 3] = 3.0
    scores = torch.zeros(2, 3, 3, 3)
    scores[1, 2] = 1.0  # the last of three columns, at x = 5
    labels = labels_from_scores(scores, affine, grid)
    assert labels[1, 1].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_an_axis_of_one_score_is_constant() -> None:
    grid = Grid((4, 3, 2), np.eye(4))
    scores = torch.tensor([0.0, 2.0, 1.0]).view(3, 1, 1, 1)
    assert (labels_from_scores(scores, np.eye(4), grid) == 1).all()


@pytest.mark.parametrize("degrees", [10.0, 45.0])
def test_rotated_axes_are_refused(degrees: float) -> None:
    grid = fine_grid(np.eye(3))
    affine, sizes = coarse_affine(fine_grid(rotation(degrees)), np.full(3, 4.0), np.full(3, 0.5), (1, 1, 1))
    with pytest.raises(InternalError, match="rotated"):
        labels_from_scores(smooth_scores(2, sizes, 0), affine, grid)
