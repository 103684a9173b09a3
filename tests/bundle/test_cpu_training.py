"""A network that is quickened on a CPU finds the same, and its weights keep their names."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.data import MetaTensor
from monai.networks.nets import UNETR

from bundle.scripts import AutocastInferer, quicken_on_cpu


def test_output_gradients_and_names_equal_those_of_the_convolution() -> None:
    torch.manual_seed(0)
    network = UNETR(2, 3, (32, 48, 32), feature_size=2, hidden_size=12, mlp_dim=12, num_heads=2)
    other = copy.deepcopy(network)
    quicken_on_cpu(other)
    assert list(other.state_dict()) == list(network.state_dict())
    images = torch.randn(2, 2, 32, 48, 32)
    expected, found = (one.vit.patch_embedding(images) for one in (network, other))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    direction = torch.randn_like(found)
    expected.backward(direction)
    found.backward(direction)
    for (name, one), two in zip(network.vit.named_parameters(), other.vit.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(two.grad, one.grad, rtol=1e-4, atol=1e-4, msg=name)
    assert other.vit.patch_embedding.patch_embeddings.weight.grad is not None


def test_images_that_are_not_a_batch_of_whole_patches_are_treated_like_the_convolution_treats_them() -> None:
    torch.manual_seed(0)
    network = UNETR(1, 3, (32, 32, 32), feature_size=2, hidden_size=12, mlp_dim=12, num_heads=2)
    convolution = copy.deepcopy(network.vit.patch_embedding.patch_embeddings)
    quicken_on_cpu(network)
    embeddings = network.vit.patch_embedding.patch_embeddings
    one_image = torch.randn(1, 32, 32, 32)
    torch.testing.assert_close(embeddings(one_image), convolution(one_image), rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="[Kk]ernel size"):
        embeddings(torch.randn(1, 1, 8, 32, 32))


def test_the_whole_network_finds_the_same() -> None:
    torch.manual_seed(1)
    network = UNETR(1, 3, (32, 32, 32), feature_size=4, hidden_size=12, mlp_dim=12, num_heads=2)
    other = copy.deepcopy(network)
    quicken_on_cpu(other)
    images = torch.randn(1, 1, 32, 32, 32)
    torch.testing.assert_close(other(images), network(images), rtol=1e-3, atol=1e-3)
    for one in (network, other):
        one(images).square().mean().backward()
    for (name, first), second in zip(network.named_parameters(), other.parameters(), strict=True):
        if first.grad is not None and float(first.grad.norm()) > 1e-4:  # instance norm leaves biases only rounding
            assert float((second.grad - first.grad).norm() / first.grad.norm()) < 0.02, name  # type: ignore[operator]


@pytest.mark.parametrize("images", [1, 2])
def test_norms_find_the_same_and_one_images_channels_stay_together(images: int) -> None:
    torch.manual_seed(2)
    network = UNETR(1, 3, (32, 32, 32), feature_size=4, hidden_size=12, mlp_dim=12, num_heads=2)
    norm = network.encoder1.layer.norm1
    expected_norm = copy.deepcopy(norm)
    quicken_on_cpu(network)
    features = torch.randn(images, 4, 8, 10, 12).contiguous(memory_format=torch.channels_last_3d)
    found = norm(features)
    torch.testing.assert_close(found, expected_norm(features), rtol=1e-5, atol=1e-5)
    if images == 1:
        assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_network_in_training_is_not_given_images_that_carry_their_place() -> None:
    seen: list[type] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(type(images))
        return images

    AutocastInferer()(MetaTensor(torch.zeros(1, 1, 2, 2, 2)), network)
    assert seen == [torch.Tensor]
