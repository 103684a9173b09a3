"""Learn from participants of whom only some structures were annotated, or some only together with others."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events

from bundle.scripts.losses import DiceWeightedCELoss
from bundle.scripts.merged_classes import merge_classes
from operators.core.errors import InputError

__all__ = ["AnnotatedClasses", "PartialLabelLoss"]


class PartialLabelLoss(torch.nn.Module):
    """Wraps any softmax loss: classes that a participant's annotator left out or merged count as what they became.

    If a structure was not annotated, "background" in the label map means
    "background or that structure". Therefore the probability of the classes left
    out is added to the background's before the loss is computed (marginal loss,
    Shi et al. 2021, doi 10.1016/j.media.2021.101979). The network is neither
    rewarded nor punished for finding them. With complete labels, the result is
    exactly the wrapped loss.

    Parameters
    ----------
    loss : Module
        Loss of raw scores (batch, channels, x, y, z) and labels (batch, 1, x, y, z). It applies softmax itself.

    Attributes
    ----------
    labelled_as : Tensor, shape (batch, channels), int64, or None
        For each class, the class whose label its voxels have: itself, another one that it was merged with, or 0
        where it was not drawn. Set for each batch by `AnnotatedClasses`. None means that all classes are annotated.
    """

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.labelled_as: torch.Tensor | None = None

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of one batch."""
        if self.labelled_as is not None:
            if isinstance(self.loss, DiceWeightedCELoss):  # it merges faster itself
                return torch.as_tensor(self.loss(scores, labels, self.labelled_as))
            scores = merge_classes(torch.as_tensor(scores), self.labelled_as)
        return torch.as_tensor(self.loss(scores, labels))


class AnnotatedClasses:
    """Tells a `PartialLabelLoss` which classes the participants of each batch were annotated with.

    The batch holds them under ``labelled_as`` (see `bundle.scripts.read_datalist`). A batch
    without that key counts as complete. Any other loss is refused for participants of whom only some classes were
    annotated, because it would teach the network that the others are background.

    Parameters
    ----------
    loss : callable
    """

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def attach(self, engine: Engine) -> None:
        """Run when a batch has been fetched."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        given = batch.get("labelled_as")
        labelled_as = None if given is None else torch.as_tensor(given).long()
        if isinstance(self.loss, PartialLabelLoss):
            self.loss.labelled_as = labelled_as
        elif (
            labelled_as is not None
            and (labelled_as != torch.arange(labelled_as.shape[1], device=labelled_as.device)).any()
        ):
            raise InputError(
                "training_loss",
                f"a {type(self.loss).__name__} for a participant of whom only some structures were annotated",
                "a bundle.scripts.PartialLabelLoss around it",
                "Wrap the loss as train.yaml does, or leave such participants out.",
            )
