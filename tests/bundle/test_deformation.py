"""Deformed crops: image and labels stay together, and nothing appears that was not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bundle.scripts import RandCoilBiasd, RandDeformedCropd
from bundle.scripts.device_sampling import DeformedCrop, nearest_labels, sampled_image

SPACING = (3.0, 3.0, 6.0)


def block() -> dict[Any, torch.Tensor]:
    """A bright block in the middle, and its label in eight parts of each voxel."""
    image = torch.zeros(2, 40, 30, 24)
    image[:, 10:30, 8:22, 6:18] = 1.0
    labels = (image[:1] > 0).to(torch.uint8).repeat(8, 1, 1, 1)
    return {"image": image, "label": labels}


def crop(**options: float) -> RandDeformedCropd:
    still = {"bend_mm": 0.0, "turn_deg": 0.0, "stretch": 0.0, "slab_prob": 0.0}
    made = RandDeformedCropd(["image", "label"], (40, 30, 24), SPACING, **(still | options))  # type: ignore[arg-type]
    made.set_random_state(3)
    return made


def test_without_deformation_the_crop_is_the_image() -> None:
    item = block()
    found = crop()(item)
    torch.testing.assert_close(found["image"], item["image"])
    assert torch.equal(found["label"], item["label"])


@pytest.mark.parametrize("seed", range(4))
def test_labels_follow_the_image(seed: int) -> None:
    made = crop(bend_mm=6.0, turn_deg=8.0, stretch=0.15)
    made.set_random_state(seed)
    found = made(block())
    share = found["label"].float().mean(dim=0)
    off = (found["image"][0] - share).abs()
    assert off.mean() < 0.02 and 0.05 < share.mean() < 0.4
    assert not torch.equal(found["label"], block()["label"])


def test_a_slab_keeps_part_of_the_height_and_no_more() -> None:
    made = crop(slab_prob=1.0)
    made.slab_mm = (30.0, 36.0)
    found = made(block())
    filled = torch.nonzero(found["image"].sum(dim=(0, 1, 2))).flatten()
    assert 0 < len(filled) <= 7
    labelled = torch.nonzero(found["label"].sum(dim=(0, 1, 2))).flatten()
    assert set(labelled.tolist()) <= set(range(int(filled.min()) - 1, int(filled.max()) + 2))


def test_a_small_image_is_surrounded_by_nothing() -> None:
    image, label = torch.ones(1, 10, 10, 6), torch.ones(1, 10, 10, 6, dtype=torch.uint8)
    item: dict[Any, torch.Tensor] = {"image": image, "label": label}
    found = crop()(item)
    assert found["image"].shape == (1, 40, 30, 24) and found["label"].sum() == 600
    torch.testing.assert_close(found["image"].sum(), torch.tensor(600.0))


def test_brightness_varies_smoothly_and_alike_in_all_channels() -> None:
    bias = RandCoilBiasd("image", sd=0.3, prob=1.0)
    bias.set_random_state(1)
    image = bias({"image": torch.ones(2, 32, 32, 32)})["image"].numpy()
    np.testing.assert_array_equal(image[0], image[1])
    assert image.std() > 0.05 and np.abs(np.diff(image[0], axis=0)).max() < 0.1 * image.max()


@pytest.mark.parametrize("parts", [1, 8])
def test_a_gpu_samples_the_crops_of_the_cpu(parts: int) -> None:
    made = crop(bend_mm=5.0, turn_deg=8.0, stretch=0.15, slab_prob=0.5)
    made.roi = np.array((40, 32, 24))
    generator = torch.Generator().manual_seed(2)
    image = torch.nn.functional.avg_pool3d(torch.rand(2, 44, 36, 30, generator=generator), 3, stride=1)
    labels = (torch.rand(parts, *image.shape[1:], generator=generator) * 5).to(torch.uint8)
    for seed in range(6):
        made.set_random_state(seed)
        expected = made({"image": image, "label": labels})
        made.set_random_state(seed)
        *placed, slab = made._draw(np.array(image.shape[1:]))
        matrix, centre, field = (torch.as_tensor(one) for one in placed)
        there = DeformedCrop(matrix, centre, field, 4, made.roi.tolist(), slab.tolist())
        differences = (sampled_image(image, there) - expected["image"]).abs()
        assert differences.quantile(0.999) < 2e-3  # at the edge, rounding decides what is outside
        assert (nearest_labels(labels, there) == expected["label"]).float().mean() > 0.999
