"""Labels finer than the network's voxels, and the loss that takes them as shares."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.scripts import DiceWeightedCELoss, SubvoxelLabelsd
from operators.core.anatomy import ADIPOSE_INDEX
from operators.core.errors import GeometryError
from operators.core.nrrd_files import write_volume
from operators.core.volume import Grid, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def image_on(grid: Grid, flip: bool = False) -> MetaTensor:
    """An image of ``grid`` in MONAI's axes. ``flip`` reverses x and y, as in RAS."""
    affine = LPS_TO_RAS @ grid.affine
    if flip:
        _, y, x = grid.shape
        turn = np.diag([-1.0, -1.0, 1.0, 1.0])
        turn[:2, 3] = x - 1, y - 1
        affine = affine @ turn
    return MetaTensor(torch.zeros(1, *grid.shape[::-1]), affine=torch.as_tensor(affine))


@pytest.mark.parametrize("flip", [False, True])
def test_parts_of_a_voxel_are_the_voxels_of_the_finer_file(tmp_path: Path, flip: bool) -> None:
    coarse = Grid((2, 3, 4), np.diag([4.0, 4.0, 6.0, 1.0]))
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -1.0, -1.0, -1.5
    fine = np.random.default_rng(0).integers(0, ADIPOSE_INDEX, (4, 6, 8)).astype(np.uint8)
    write_volume(tmp_path / "fine_labels.nrrd", Volume(fine, Grid(fine.shape, affine)))
    item: dict[Hashable, Any] = {"image": image_on(coarse, flip), "label": str(tmp_path / "labels.nrrd")}
    parts = SubvoxelLabelsd(file_name="fine_labels.nrrd")(item)["label"].numpy()
    assert parts.shape == (8, 4, 3, 2)
    for z, y, x in np.ndindex(2, 3, 4):
        expected = fine[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        at = (3 - x, 2 - y, z) if flip else (x, y, z)
        assert sorted(parts[(slice(None), *at)]) == sorted(expected.ravel())


def test_labels_on_the_images_grid_fill_their_voxels_and_nothing_beyond(tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(1, ADIPOSE_INDEX, (3, 4, 5)).astype(np.uint8)
    grid = Grid(labels.shape, np.diag([2.0, 2.0, 3.0, 1.0]))
    write_volume(tmp_path / "labels.nrrd", Volume(labels, grid))
    wider = Grid((5, 4, 5), grid.affine)
    parts = SubvoxelLabelsd(file_name="none_such.nrrd")(
        {"image": image_on(wider), "label": str(tmp_path / "labels.nrrd")}
    )["label"].numpy()
    assert (parts == parts[:1]).all()
    np.testing.assert_array_equal(parts[0][..., :3], labels.transpose(2, 1, 0))
    assert not parts[0][..., 3:].any()


def test_rotated_labels_are_refused(tmp_path: Path) -> None:
    grid = Grid((8, 8, 8), np.eye(4))
    write_volume(tmp_path / "labels.nrrd", Volume(np.ones((8, 8, 8), np.uint8), grid))
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(GeometryError, match="rotated"):
        SubvoxelLabelsd()({"image": image_on(Grid((8, 8, 8), turned)), "label": str(tmp_path / "labels.nrrd")})


def scores_of(probability: torch.Tensor) -> torch.Tensor:
    return probability.log().reshape(1, -1, 1, 1, 1)


def test_a_network_that_knows_the_shares_has_the_smallest_loss() -> None:
    labels = torch.tensor([1, 1, 1, 2]).reshape(1, 4, 1, 1, 1)
    loss = DiceWeightedCELoss(torch.ones(3))
    shares = torch.tensor([1e-6, 0.75, 0.25])
    least = loss(scores_of(shares), labels)
    for first in (0.05, 0.5, 0.7, 0.8, 0.95, 0.999):
        assert loss(scores_of(torch.tensor([1e-6, first, 1 - first])), labels) > least


def test_gradient_for_shares_is_that_of_automatic_differentiation() -> None:
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(2, 4, 3, 2, 2, generator=generator)
    labels = torch.randint(0, 4, (2, 8, 3, 2, 2), generator=generator)
    loss = DiceWeightedCELoss(torch.rand(4, generator=generator) + 0.5, 0.7, 1.3)
    scores.requires_grad_()
    (found,) = torch.autograd.grad(loss(scores, labels), scores)

    one_hot = torch.nn.functional.one_hot(labels, 4).double().mean(dim=1).movedim(-1, 1)
    double = scores.detach().double().requires_grad_()
    probability = double.softmax(dim=1)
    numerator = 2 * torch.minimum(probability, one_hot).sum(dim=(2, 3, 4)) + 1e-5
    dice = 1 - numerator / (probability.sum(dim=(2, 3, 4)) + one_hot.sum(dim=(2, 3, 4)) + 1e-5)
    weighted = one_hot * loss.class_weights.double()[:, None, None, None]
    cross_entropy = -(weighted * probability.log()).sum() / weighted.sum()
    (expected,) = torch.autograd.grad(0.7 * dice[:, 1:].mean() + 1.3 * cross_entropy, double)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-7)


def test_one_label_per_voxel_equals_the_same_label_in_every_part() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(1, 3, 4, 4, 2, generator=generator)
    labels = torch.randint(0, 3, (1, 1, 4, 4, 2), generator=generator)
    loss = DiceWeightedCELoss(torch.tensor([0.5, 1.0, 2.0]))
    assert loss(scores, labels.expand(1, 8, 4, 4, 2)) == pytest.approx(float(loss(scores, labels)), rel=1e-5)
