"""The Python components that configs refer to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from monai.networks.nets import UNETR

from bundle.scripts import (
    DiceWeightedCELoss,
    inverse_sqrt_frequency,
    latest_checkpoint,
    list_images,
    list_pairs,
    read_datalist,
    read_weights,
    resized,
    save_weights,
    start_from,
    widened,
)
from operators.core.errors import SegmentationError, UsageError
from operators.core.nrrd_files import write_volume
from operators.core.volume import Grid, Volume


def write_pair(folder: Path, labels: np.ndarray) -> None:
    folder.mkdir(parents=True)
    grid = Grid(labels.shape, np.diag([2.0, 2.0, 3.0, 1.0]))
    write_volume(folder / "labels.nrrd", Volume(labels.astype(np.uint8), grid))
    write_volume(folder / "water.nrrd", Volume(labels.astype(np.float32), grid))


def test_pairs_are_complete_folders_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", ".c.partial"):
        write_pair(tmp_path / name, np.zeros((2, 2, 2)))
    (tmp_path / "d").mkdir()
    pairs = list_pairs(tmp_path)
    assert [Path(str(pair["label"])).parent.name for pair in pairs] == ["a", "b"]
    with pytest.raises(FileNotFoundError, match="training-set"):
        list_pairs(tmp_path / "d")


def test_a_folder_that_lacks_a_file_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        write_pair(tmp_path / name, np.zeros((2, 2, 2)))
    (tmp_path / "notes").mkdir()
    assert len(list_pairs(tmp_path)) == 2 and not caplog.text
    (tmp_path / "b" / "water.nrrd").unlink()
    assert len(list_pairs(tmp_path)) == 1
    assert "b is left out: no water.nrrd" in caplog.text


def test_names_of_images_that_are_no_list_are_refused(tmp_path: Path) -> None:
    for read in (list_pairs, list_images, read_datalist):
        with pytest.raises(UsageError, match="a list such as"):
            read(tmp_path, "[water.nrrd]")


def test_class_weights_follow_the_inverse_root_of_frequency(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 5))
    labels[0, 0, :4] = 1  # 4 of 100 voxels
    write_pair(tmp_path / "a", labels)
    weights = inverse_sqrt_frequency(list_pairs(tmp_path), channels=3)
    assert weights[1] / weights[0] == pytest.approx(np.sqrt(96 / 4), rel=1e-5)
    assert weights[2] == 0  # absent: no gradient, no division by zero
    assert float(0.96 * weights[0] + 0.04 * weights[1]) == pytest.approx(1.0, rel=1e-5)


def test_loss_is_foreground_dice_plus_weighted_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 3, 4, 4, 4, generator=generator)
    labels = torch.randint(0, 3, (1, 1, 4, 4, 4), generator=generator)
    weights = torch.tensor([0.5, 1.0, 2.0])
    probability = scores.softmax(dim=1)
    dice = torch.zeros(())
    for channel in (1, 2):
        truth = (labels[:, 0] == channel).float()
        p = probability[:, channel]
        dice += 1 - (2 * (p * truth).sum() + 1e-5) / (p.sum() + truth.sum() + 1e-5)
    log_likelihood = probability.log().gather(1, labels)[:, 0]
    by_voxel = weights[labels[:, 0]]
    cross_entropy = -(by_voxel * log_likelihood).sum() / by_voxel.sum()
    expected = dice / 2 + cross_entropy
    assert DiceWeightedCELoss(weights)(scores, labels) == pytest.approx(float(expected), rel=1e-5)


def test_newest_checkpoint_is_resumed_from(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for epoch in (9, 10):
        torch.save({"network": {}}, tmp_path / f"training_checkpoint_epoch={epoch}.pt")
    assert str(latest_checkpoint(tmp_path)).endswith("epoch=10.pt")


def test_shipped_weights_hold_tensors_only(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(network.parameters())
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint.pt")
    weights = torch.load(save_weights(tmp_path / "checkpoint.pt", tmp_path / "w.pt"), weights_only=True)
    assert weights.keys() == network.state_dict().keys()
    assert torch.equal(weights["weight"], network.weight.detach())


def test_gradient_of_the_loss_is_that_of_its_two_terms() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 5, 6, 5, 4, generator=generator, requires_grad=True)
    labels = torch.randint(0, 5, (2, 1, 6, 5, 4), generator=generator)
    weights = torch.rand(5, generator=generator)
    dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True)(scores, labels)
    cross_entropy = torch.nn.functional.cross_entropy(scores, labels[:, 0], weight=weights)
    (expected,) = torch.autograd.grad(3 * (0.7 * dice + 1.3 * cross_entropy), scores)
    (found,) = torch.autograd.grad(3 * DiceWeightedCELoss(weights, 0.7, 1.3)(scores, labels), scores)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_weights_of_another_window_keep_each_patch_at_its_place() -> None:
    small, large = (unetr(window) for window in ((32, 16, 32), (64, 16, 32)))
    weights = dict(small.state_dict())
    along_x = torch.arange(2.0).repeat_interleave(2)[None, :, None].expand(1, 4, 8)
    weights["vit.patch_embedding.position_embeddings"] = along_x
    large.load_state_dict(resized(weights, large, (32, 16, 32)))
    positions = large.vit.patch_embedding.position_embeddings.detach().reshape(4, 1, 2, 8)
    assert positions[:, 0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
    torch.testing.assert_close(dict(resized(weights, small, (32, 16, 32))), weights)
    with pytest.raises(ValueError, match="start_roi"):
        resized(weights, large, (64, 16, 32))


def test_further_input_channels_start_without_effect() -> None:
    window = (32, 16, 32)
    one, two = unetr(window).eval(), unetr(window, channels=2).eval()
    two.load_state_dict(resized(one.state_dict(), two, window))
    image = torch.rand(1, 2, *window, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(two(image), one(image[:, :1]))


def test_a_wider_network_starts_with_the_scores_of_the_narrow_one_and_learns_with_all_features() -> None:
    window = (32, 16, 32)
    narrow, wide = unetr(window).eval(), unetr(window, features=6).eval()
    wide.load_state_dict(widened(narrow.state_dict(), wide))
    image = torch.rand(1, 1, *window, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(wide(image), narrow(image), rtol=1e-4, atol=1e-4)
    rows = wide.encoder1.layer.conv1.conv.weight.flatten(1)
    assert torch.linalg.matrix_rank(rows) == 6  # further features are not copies, which would all learn the same
    wide(image).square().sum().backward()
    gradient = wide.out.conv.conv.weight.grad
    assert gradient is not None and bool((gradient.abs().amax(dim=(0, 2, 3, 4)) > 0).all())


def test_weights_are_not_made_narrower() -> None:
    narrow, wide = unetr((32, 16, 32)), unetr((32, 16, 32), features=6)
    with pytest.raises(ValueError, match="feature_size"):
        widened(wide.state_dict(), narrow)
    torch.testing.assert_close(widened(narrow.state_dict(), narrow), dict(narrow.state_dict()))


def test_weights_of_another_network_do_not_start_one() -> None:
    window = (32, 16, 32)
    other = UNETR(1, 3, window, feature_size=4, hidden_size=16, mlp_dim=16, num_heads=2)
    for weights, roi, said in (
        (other.state_dict(), window, "patch_embeddings"),
        ({"a": torch.zeros(3)}, window, "position_embeddings"),
        (unetr(window).state_dict(), (64, 32, 32), "start_roi"),
    ):
        with pytest.raises(SegmentationError, match=rf"mine.pt: weights of another network \(.*{said}"):
            start_from(unetr(window), weights, roi, "mine.pt")
    wider = unetr((64, 16, 32), channels=2, features=6)
    start_from(wider, unetr(window).state_dict(), window, "mine.pt")


def unetr(window: tuple[int, int, int], channels: int = 1, features: int = 4) -> UNETR:
    return UNETR(channels, 3, window, feature_size=features, hidden_size=8, mlp_dim=16, num_heads=2)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_start_a_network_in_float32(kind: torch.dtype) -> None:
    window = (32, 16, 32)
    given = {name: value.to(kind) for name, value in unetr(window).state_dict().items()}
    larger = unetr((64, 16, 32), channels=2, features=6)
    larger.load_state_dict(resized(widened(given, larger), larger, window))
    assert {value.dtype for value in larger.state_dict().values()} == {torch.float32}
    whole = {name: value.float() for name, value in given.items()}
    positions = "vit.patch_embedding.position_embeddings"
    assert torch.equal(larger.get_parameter(positions), resized(whole, larger, window)[positions])  # not rounded again


def test_starting_weights_may_be_a_training_checkpoint(tmp_path: Path) -> None:
    weights = {"layer.weight": torch.ones(2)}
    torch.save(weights, tmp_path / "plain.pt")
    torch.save({"network": weights, "optimizer": {"state": {}}}, tmp_path / "checkpoint.pt")
    for name in ("plain.pt", "checkpoint.pt"):
        assert torch.equal(read_weights(tmp_path / name)["layer.weight"], torch.ones(2))


def test_a_file_without_weights_is_named_with_what_it_holds(tmp_path: Path) -> None:
    torch.save({"optimizer": {"state": {}}, "epoch": 3}, tmp_path / "other.pt")
    with pytest.raises(SegmentationError, match=r"other\.pt: a dictionary of optimizer, epoch; expected weights"):
        read_weights(tmp_path / "other.pt")
