"""MuonAdamW makes the steps of torch's Muon inside a network, and those of its AdamW at the ends."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.scripts.optimisers import MuonAdamW, nearest_orthogonal


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch_embedding = torch.nn.Linear(6, 8)
        self.inside = torch.nn.Linear(8, 12)
        self.kernel = torch.nn.Conv3d(12, 5, kernel_size=2)
        self.out = torch.nn.Conv3d(5, 3, kernel_size=1)


def network() -> Network:
    torch.manual_seed(3)
    return Network()


def give_gradients(trained: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in trained.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_matrices_step_as_with_the_muon_of_torch() -> None:
    found, expected = network(), network()
    ours = MuonAdamW(found, lr=0.01, weight_decay=0.1)
    muon = torch.optim.Muon([expected.inside.weight], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    start = found.inside.weight.detach().clone()
    for seed in range(4):
        for trained, optimiser in ((found, ours), (expected, muon)):
            give_gradients(trained, seed)
            optimiser.step()
    moved = found.inside.weight.detach() - start
    # bfloat16, in which torch computes, has three digits.
    torch.testing.assert_close(moved, expected.inside.weight.detach() - start, rtol=0.03, atol=0.03 * 0.01)
    assert moved.abs().mean() > 0.002


def test_ends_and_biases_step_as_with_adamw() -> None:
    found, expected = network(), network()
    ours = MuonAdamW(found, lr=0.01, weight_decay=0.1)
    adamw = torch.optim.AdamW(expected.parameters(), lr=0.01, weight_decay=0.1)
    for seed in range(4):
        for trained, optimiser in ((found, ours), (expected, adamw)):
            give_gradients(trained, seed)
            optimiser.step()
    inside = {"inside.weight", "kernel.weight"}
    for (name, ours_now), theirs in zip(found.named_parameters(), expected.parameters(), strict=True):
        if name not in inside:
            torch.testing.assert_close(ours_now, theirs, msg=name)
        else:
            assert not torch.allclose(ours_now, theirs, atol=1e-3)


def test_a_kernel_is_the_matrix_of_its_output_channels() -> None:
    found = network()
    kernel = found.kernel.weight.detach().clone()
    give_gradients(found, 0)
    gradient = found.kernel.weight.grad
    assert gradient is not None
    MuonAdamW(found, lr=0.01).step()
    step = (kernel - found.kernel.weight.detach()).reshape(5, -1)
    expected = nearest_orthogonal(gradient.reshape(5, -1)) * 0.01 * 0.2 * step.shape[1] ** 0.5
    torch.testing.assert_close(step, expected, rtol=0.02, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(1e-4, 1e4), st.integers(0, 100))
def test_orthogonal_matrices_do_not_depend_on_the_size_of_the_gradient(
    rows: int, columns: int, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    orthogonal, _ = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), generator=generator))
    matrix = orthogonal if rows >= columns else orthogonal.T
    found = nearest_orthogonal(matrix * scale)
    assert found.shape == matrix.shape
    sizes = torch.linalg.svdvals(found)
    assert float(sizes.min()) > 0.6 and float(sizes.max()) < 1.3
    # The directions stay: the matrix was orthogonal already. Its singular values become unequal by a few percent.
    torch.testing.assert_close(found / sizes.mean(), matrix, rtol=0, atol=0.1)


def test_a_resumed_training_goes_on_as_if_uninterrupted() -> None:
    straight = network()
    optimiser = MuonAdamW(straight, lr=0.01)
    for seed in range(2):
        give_gradients(straight, seed)
        optimiser.step()
    resumed = copy.deepcopy(straight)
    again = MuonAdamW(resumed, lr=0.5)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for trained, steps in ((straight, optimiser), (resumed, again)):
        give_gradients(trained, 2)
        steps.step()
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_closure_is_run_with_gradients() -> None:
    learner = torch.nn.Linear(3, 2)
    optimiser = MuonAdamW(learner, lr=0.01)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = learner(torch.ones(4, 3)).square().mean()
        loss.backward()
        return loss

    before = float(closure())
    assert float(optimiser.step(closure)) == pytest.approx(before)
    assert float(closure()) < before


def test_matrices_of_one_shape_are_made_orthogonal_as_one_by_one() -> None:
    matrices = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(4))
    together = nearest_orthogonal(matrices)
    for one, alone in zip(together, matrices, strict=True):
        torch.testing.assert_close(one, nearest_orthogonal(alone), rtol=0.02, atol=0.02)
