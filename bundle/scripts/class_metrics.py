"""Validation metrics by class during training, as a table that each validation extends."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.utils import evenly_divisible_all_gather

from operators.core import anatomy
from operators.core.output_files import replacing

__all__ = ["ClassMetricsCsv"]

_METRICS = ("dice", "iou", "precision", "recall")
_CHANNELS = [s.index for s in anatomy.STRUCTURES]


class ClassMetricsCsv:
    """After each validation, write Dice, IoU, precision and recall of every structure.

    There is one row per epoch and metric: ``epoch, metric, mean`` over the structures,
    then one column per structure with the mean over participants that have it.
    Structures absent from a participant's labels are left out. Rows of epochs
    that are repeated after an interruption are replaced.

    Parameters
    ----------
    path : path
        Rewritten as a whole after each validation.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._counts: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose outputs are one-hot ``pred`` and ``label``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _begin(self, _: Engine) -> None:
        self._counts = []

    def _count(self, engine: Engine) -> None:
        outputs: Any = engine.state.output
        for item in outputs:
            found, truth = (torch.as_tensor(item[key])[_CHANNELS].bool().flatten(1) for key in ("pred", "label"))
            both = (found & truth).sum(dim=1)
            self._counts.append(torch.stack([both, found.sum(dim=1), truth.sum(dim=1)]).double())

    def __call__(self, engine: Engine) -> None:
        counts = torch.stack(self._counts)
        if idist.get_world_size() > 1:
            counts = evenly_divisible_all_gather(counts.to(idist.device()), concat=True)
        if idist.get_rank() == 0:
            self._write(int(engine.state.epoch), counts.cpu())

    def _write(self, epoch: int, counts: torch.Tensor) -> None:
        names = [s.name for s in anatomy.STRUCTURES]
        header = ["epoch", "metric", "mean", *names]
        kept: list[list[Any]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in list(csv.reader(file))[1:] if int(row[0]) < epoch]
        both, found, truth = counts.unbind(dim=1)
        present = truth > 0
        values = {
            "dice": 2 * both / (found + truth),
            "iou": both / (found + truth - both),
            "precision": torch.where(found > 0, both / found, 0.0),
            "recall": both / truth,
        }
        for metric in _METRICS:
            by_class = values[metric].masked_fill(~present, float("nan")).nanmean(dim=0)
            row = [by_class.nanmean(), *by_class]
            kept.append([epoch, metric, *("" if v.isnan() else f"{float(v):.4f}" for v in row)])
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *kept])
