"""Crops for training show the ends of a body as often as windows do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundle.scripts import RandOverhangCropd


def ramp(*shape: int) -> torch.Tensor:
    """An image in which every voxel's value is its index along the last axis."""
    return torch.arange(shape[-1], dtype=torch.float32).expand(1, *shape).clone()


@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    roi=st.tuples(*[st.integers(1, 8)] * 3),
    overhang=st.tuples(*[st.integers(0, 6)] * 3),
    seed=st.integers(0, 2**31),
)
def test_a_crop_lies_inside_the_image_and_is_one_for_all_keys(
    shape: tuple[int, int, int], roi: tuple[int, int, int], overhang: tuple[int, int, int], seed: int
) -> None:
    image = torch.arange(float(torch.tensor(shape).prod())).reshape(1, *shape)
    crop = RandOverhangCropd(["image", "label"], roi, overhang).set_random_state(seed)
    found = crop({"image": image, "label": image.clone()})
    assert found["image"].shape == (1, *(min(size, wanted) for size, wanted in zip(shape, roi, strict=True)))
    assert torch.equal(torch.as_tensor(found["image"]), torch.as_tensor(found["label"]))


@pytest.mark.parametrize(("overhang", "share"), [(0, 1 / 26), (24, 25 / 74)])
def test_each_end_is_shown_as_often_as_the_overhang_says(overhang: int, share: float) -> None:
    crop = RandOverhangCropd(["image"], [2, 2, 96], [0, 0, overhang]).set_random_state(0)
    firsts = [float(crop({"image": ramp(2, 2, 121)})["image"].min()) for _ in range(2000)]
    spread = 4 * (share * (1 - share) / 2000) ** 0.5
    assert firsts.count(0.0) / 2000 == pytest.approx(share, abs=spread)
    assert firsts.count(25.0) / 2000 == pytest.approx(share, abs=spread)
    assert len(set(firsts)) == 26  # and everything between


@pytest.mark.parametrize(("roi", "overhang"), [([4, 4, 4], [0, 0]), ([4, 4, 4], [0, 0, -1]), ([4, 4, -1], [0, 0, 0])])
def test_invalid_sizes_and_overhangs_are_refused(roi: list[int], overhang: list[int]) -> None:
    with pytest.raises(ValueError, match=r"roi_size is .* and overhang is"):
        RandOverhangCropd(["image"], roi, overhang)
