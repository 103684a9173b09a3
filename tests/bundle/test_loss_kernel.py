"""The loss that numba computes on a CPU equals torch's, in value and gradient."""

from __future__ import annotations

import pytest
import torch

from bundle.scripts import DiceWeightedCELoss, PartialLabelLoss
from bundle.scripts import losses as module

COMPLETE = [0, 1, 2, 3, 4, 5]
LEFT_OUT = [0, 0, 2, 3, 0, 5]
DRAWN_AS_ONE = [0, 1, 1, 3, 3, 3]
SIZES = [(7, 5, 3), (9, 8, 8), (13, 11, 9)]  # less than a block of voxels, one and a part, several


def torch_only(_labels: torch.Tensor, _channels: int) -> bool:
    return False


@pytest.mark.parametrize("labelled_as", [None, COMPLETE, LEFT_OUT, DRAWN_AS_ONE])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("parts", "dtype"), [(1, torch.int64), (8, torch.uint8), (27, torch.float32)])
def test_value_and_gradient_equal_those_of_torch(
    monkeypatch: pytest.MonkeyPatch,
    labelled_as: list[int] | None,
    size: tuple[int, int, int],
    parts: int,
    dtype: torch.dtype,
) -> None:
    generator = torch.Generator().manual_seed(parts)
    scores = (5 * torch.randn(2, 6, *size, generator=generator)).requires_grad_()
    labels = torch.randint(0, 6, (2, parts, *size), generator=generator)
    partial = PartialLabelLoss(DiceWeightedCELoss(torch.rand(6, generator=generator) + 0.5, 0.7, 1.3))
    if labelled_as is not None:  # the first participant has all classes
        partial.labelled_as = torch.tensor([COMPLETE, labelled_as])
        labels[1] = torch.tensor(labelled_as)[labels[1]]
    labels = labels.to(dtype)

    found = partial(scores, labels)
    (gradient,) = torch.autograd.grad(3 * found, scores)
    monkeypatch.setattr(module, "_suits_kernel", torch_only)
    expected = partial(scores, labels)
    (expected_gradient,) = torch.autograd.grad(3 * expected, scores)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    largest = float(expected_gradient.abs().max())
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-6 * largest)


@pytest.mark.parametrize("score", [-300.0, 300.0])
def test_certain_scores_have_a_finite_loss(monkeypatch: pytest.MonkeyPatch, score: float) -> None:
    scores = torch.zeros(1, 3, 4, 4, 4)
    scores[:, 1] = score
    scores.requires_grad_()
    labels = torch.arange(64).reshape(1, 1, 4, 4, 4) % 3
    loss = DiceWeightedCELoss(torch.ones(3))
    found = loss(scores, labels)
    (gradient,) = torch.autograd.grad(found, scores)
    monkeypatch.setattr(module, "_suits_kernel", torch_only)
    expected = loss(scores, labels)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, scores)[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_not_hidden(bad: float) -> None:
    scores = torch.zeros(1, 3, 4, 4, 4)
    scores[0, 1, 2, 2, 2] = bad
    scores.requires_grad_()
    loss = DiceWeightedCELoss(torch.ones(3))(scores, torch.zeros(1, 1, 4, 4, 4, dtype=torch.uint8))
    assert not loss.isfinite()
    assert not torch.autograd.grad(loss, scores)[0].isfinite().all()


@pytest.mark.parametrize("device_has_kernel", [True, False])
@pytest.mark.parametrize(
    ("channels", "label_shape", "labelled_as"),
    [
        (4, (2, 1, 4, 5, 6), None),  # a network of other classes than the weights'
        (3, (2, 1, 2, 5, 6), None),
        (3, (2, 1, 8, 5, 6), None),
        (3, (1, 1, 4, 5, 6), None),
        (3, (2, 4, 5, 6), None),  # no axis for the labels of a voxel
        (3, (2, 1, 4, 5, 6), [[0, 1, 2]]),  # of another batch
        (3, (2, 1, 4, 5, 6), [[0, 1, 2]] * 3),
        (3, (2, 1, 4, 5, 6), [[0, 1, 3]] * 2),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    device_has_kernel: bool,
    channels: int,
    label_shape: tuple[int, ...],
    labelled_as: list[list[int]] | None,
) -> None:
    if not device_has_kernel:
        monkeypatch.setattr(module, "_suits_kernel", torch_only)
    merged = None if labelled_as is None else torch.tensor(labelled_as)
    with pytest.raises(ValueError, match=r"do(es)? not fit|is none of 3"):
        DiceWeightedCELoss(torch.ones(3))(torch.zeros(2, channels, 4, 5, 6), torch.zeros(label_shape), merged)


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(RuntimeError, match="out of bounds"):
        DiceWeightedCELoss(torch.ones(3))(torch.zeros(1, 3, 4, 4, 4), torch.full((1, 1, 4, 4, 4), 3))


def test_channels_of_a_voxel_may_lie_together() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(1, 6, 9, 8, 8, generator=generator)
    labels = torch.randint(0, 6, (1, 8, 9, 8, 8), generator=generator)
    loss = PartialLabelLoss(DiceWeightedCELoss(torch.ones(6)))
    loss.labelled_as = torch.tensor([DRAWN_AS_ONE])
    labels = torch.tensor(DRAWN_AS_ONE)[labels]
    results = []
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        one = scores.clone(memory_format=layout).requires_grad_()
        found = loss(one, labels)
        (gradient,) = torch.autograd.grad(found, one)
        assert gradient.is_contiguous(memory_format=layout)
        results.append((found, gradient.contiguous()))
    torch.testing.assert_close(*results)
