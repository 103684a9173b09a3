"""Learn from participants of whom only some structures were annotated."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events

__all__ = ["AnnotatedClasses", "PartialLabelLoss"]

_NEVER = -1e4  # a score that softmax turns into 0 and that float16 can hold


class PartialLabelLoss(torch.nn.Module):
    """Wraps any softmax loss: classes that a participant's annotator left out count as background.

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
        annotated : Tensor, shape (batch, channels), bool, or None
            Set for each batch by `AnnotatedClasses`. None means that all classes are annotated.
    """

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.annotated: torch.Tensor | None = None

    def forward(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of one batch."""
        if self.annotated is not None:
            scores = merge_unannotated(torch.as_tensor(scores), self.annotated)
        return torch.as_tensor(self.loss(scores, labels))


def merge_unannotated(scores: torch.Tensor, annotated: torch.Tensor) -> torch.Tensor:
    """Change scores so that softmax gives the probability of the classes left out to the background.

    Parameters
    ----------
    scores : Tensor, shape (batch, channels, ...)
    annotated : Tensor, shape (batch, channels), bool
        The background's own entry is ignored.
    """
    left_out = ~annotated.to(scores.device, torch.bool)
    left_out[:, 0] = False
    if not left_out.any():
        return scores
    pooled = left_out.clone()
    pooled[:, 0] = True
    shape = (*left_out.shape, *[1] * (scores.ndim - 2))
    scores = scores.float()
    background = scores.masked_fill(~pooled.view(shape), float("-inf")).logsumexp(dim=1, keepdim=True)
    others = scores.masked_fill(left_out.view(shape), _NEVER)[:, 1:]
    return torch.cat([background, others], dim=1)


class AnnotatedClasses:
    """Tells a `PartialLabelLoss` which classes the participants of each batch were annotated with.

    The batch holds them under ``annotated`` (see `bundle.scripts.read_datalist`). A batch
    without that key counts as complete. With any other loss, this handler does nothing.

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
        if isinstance(self.loss, PartialLabelLoss):
            batch: Any = engine.state.batch
            annotated = batch.get("annotated")
            self.loss.annotated = None if annotated is None else torch.as_tensor(annotated).bool()
