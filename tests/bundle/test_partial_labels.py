"""Classes that an annotator left out neither reward nor punish; unsafe checkpoints are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.losses import DiceCELoss

from bundle.scripts import AnnotatedClasses, DiceWeightedCELoss, PartialLabelLoss, load_weights
from bundle.scripts.merged_classes import merge_classes
from operators.core.errors import InputError, SegmentationError


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 4, 3, 3, 3, generator=generator)
    labels = torch.randint(0, 4, (2, 1, 3, 3, 3), generator=generator)
    labels[1][labels[1] == 2] = 0  # class 2 of the second participant was not drawn
    return scores, labels


LABELLED_AS = torch.tensor([[0, 1, 2, 3], [0, 1, 0, 3]])


def test_the_probability_of_a_left_out_class_is_added_to_the_background() -> None:
    scores, _ = batch()
    before, after = scores.softmax(1), merge_classes(scores, LABELLED_AS).softmax(1)
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1, 0], before[1, 0] + before[1, 2])
    torch.testing.assert_close(after[1, [1, 3]], before[1, [1, 3]])
    assert float(after[1, 2].max()) < 1e-6


@pytest.mark.parametrize(
    "loss",
    [DiceCELoss(to_onehot_y=True, softmax=True), DiceWeightedCELoss(torch.ones(4))],
    ids=lambda x: type(x).__name__,
)
def test_moving_probability_between_background_and_the_class_left_out_costs_nothing(loss: torch.nn.Module) -> None:
    scores, labels = batch()
    partial = PartialLabelLoss(loss)
    partial.labelled_as = LABELLED_AS
    probability = scores.softmax(1)
    moved = probability.clone()
    moved[1, 0], moved[1, 2] = 0.3 * (p := probability[1, 0] + probability[1, 2]), 0.7 * p
    assert partial(moved.log(), labels) == pytest.approx(float(partial(scores, labels)), rel=1e-4)
    assert loss(moved.log(), labels) != pytest.approx(float(loss(scores, labels)), rel=1e-3)  # the plain loss changes


def test_structures_that_were_drawn_as_one_share_one_probability() -> None:
    scores, _ = batch()
    before, after = scores.softmax(1), merge_classes(scores, torch.tensor([[0, 1, 2, 3], [0, 1, 2, 1]])).softmax(1)
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1, 1], before[1, 1] + before[1, 3])
    assert float(after[1, 3].max()) < 1e-6


def test_complete_labels_give_the_wrapped_loss_exactly() -> None:
    scores, labels = batch()
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    partial = PartialLabelLoss(loss)
    partial.labelled_as = torch.arange(4).expand(2, 4)
    assert torch.equal(partial(scores, labels), loss(scores, labels))


def test_the_batch_passes_the_annotated_classes_to_the_loss() -> None:
    partial = PartialLabelLoss(torch.nn.MSELoss())
    seen: list[torch.Tensor | None] = []
    engine = Engine(lambda *_: seen.append(partial.labelled_as))
    AnnotatedClasses(partial).attach(engine)
    engine.run([{"labelled_as": LABELLED_AS}, {}])
    first, second = seen
    assert first is not None and torch.equal(first, LABELLED_AS) and second is None


def test_another_loss_is_refused_for_participants_with_some_structures_only() -> None:
    engine = Engine(lambda *_: None)
    AnnotatedClasses(torch.nn.MSELoss()).attach(engine)
    engine.run([{}, {"labelled_as": torch.arange(4).expand(2, 4)}])
    with pytest.raises(InputError, match="MSELoss.*only some structures"):
        engine.run([{"labelled_as": LABELLED_AS}])


class Malicious:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"open({str(self.witness)!r}, 'w')",)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"network": Malicious(tmp_path / "ran")}, tmp_path / "bad.pt")
    with pytest.raises(SegmentationError, match="Nothing in it was executed"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_network_are_refused_with_the_first_difference(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(SegmentationError, match=r"1 tensors of another shape.*weight \(2, 3\) for \(2, 2\)"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "other.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:200])
    with pytest.raises(SegmentationError, match="not readable"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "cut.pt")
