"""Resume training after a kill at any moment, with the same result as without the kill.

Three things make a resumed run equal, to the last bit, to an uninterrupted one
(on the same kind of device and with the same thread count):

- Every epoch begins with random states and a data order that depend only on
  the seed and the number of the epoch (`EpochSampler`, `SeedEachEpoch`), so
  they need not be stored.
- A checkpoint also holds the state that decides on early stopping and on the
  best weights (`TrainingProgress`).
- A checkpoint appears whole or not at all (`WholeFileCheckpointSaver`).
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.data.utils import set_rnd
from monai.handlers import CheckpointSaver, EarlyStopHandler
from torch.utils.data import DataLoader, Sampler

from bundle.scripts.checkpoints import load_checkpoint
from operators.core.errors import OutputError, SegmentationError
from operators.core.output_files import replacing

__all__ = [
    "EpochSampler",
    "ResumableEarlyStop",
    "ResumeTraining",
    "SeedEachEpoch",
    "TrainingProgress",
    "WholeFileCheckpointSaver",
]


class EpochSampler(Sampler[int]):
    """Endless shuffled passes over the data, cut into epochs of a fixed length.

    An epoch that is shorter than the data continues where the previous one
    stopped, so that every participant is seen equally often. The order depends
    only on ``seed`` and the epoch.

    Parameters
    ----------
    size : int
        Number of items in the data set.
    seed : int
    samples_per_epoch : int, optional
        Total of all processes; ``size`` if None.
    rank, world_size : int
        Number of this process and number of processes, for distributed training.
    """

    def __init__(
        self, size: int, seed: int, samples_per_epoch: int | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        self.size = size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.per_process = -(-(samples_per_epoch or size) // world_size)
        self.epoch = 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 1) of the next iteration's samples."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.per_process

    def __iter__(self) -> Iterator[int]:
        first = (self.epoch - 1) * self.per_process * self.world_size + self.rank
        orders: dict[int, np.ndarray] = {}
        for position in range(first, first + self.per_process * self.world_size, self.world_size):
            number, place = divmod(position, self.size)
            if number not in orders:
                orders[number] = np.random.default_rng([self.seed, number]).permutation(self.size)
            yield int(orders[number][place])


class SeedEachEpoch:
    """At the start of each epoch, set every random state from the seed and the epoch's number.

    Parameters
    ----------
    dataloader : DataLoader
        Its transforms are seeded, its sampler gets the epoch, and its iteration restarts.
    seed : int
    rank : int
        Number of the process. Each process of a training augments differently.
    """

    def __init__(self, dataloader: DataLoader, seed: int, rank: int = 0) -> None:
        self.dataloader = dataloader
        self.seed = seed
        self.rank = rank

    def attach(self, engine: Engine) -> None:
        """Run at the start of every epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        epoch = int(engine.state.epoch)
        engine.set_data(())  # ends a thread of the epoch before that is ahead, and may be drawing
        seed = int(np.random.SeedSequence([self.seed, self.rank, epoch]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - transforms without their own state use the global one
        torch.manual_seed(seed)
        set_rnd(self.dataloader.dataset, seed)
        if hasattr(self.dataloader.sampler, "set_epoch"):
            self.dataloader.sampler.set_epoch(epoch)
        engine.set_data(self.dataloader)


class _WholeFiles(DiskSaver):
    """Writes to a temporary name and renames. A file with a fixed name is replaced and never absent."""

    def __init__(self, folder: str, filename: str | None) -> None:
        super().__init__(dirname=folder, require_empty=False)
        self.filename = filename

    def __call__(self, checkpoint: Mapping, filename: str, metadata: Mapping | None = None) -> None:
        super().__call__(checkpoint, self.filename or filename, metadata)

    def _save_func(self, checkpoint: Mapping, path: Path, func: Any) -> None:
        with replacing(path) as partial, partial.open("wb") as file:
            try:
                func(checkpoint, file)
            except RuntimeError as error:  # of PyTorch's writer, which does not say that the disk is full
                remedy = "Make space, and give the command again: training goes on from the last whole checkpoint."
                raise OutputError(str(path), "cannot be written", "space on the disk", remedy) from error
            file.flush()
            os.fsync(file.fileno())

    def remove(self, filename: str) -> None:
        if self.filename is None and idist.get_rank() == self.save_on_rank:
            (self.dirname / filename).unlink(missing_ok=True)


class WholeFileCheckpointSaver(CheckpointSaver):
    """MONAI's `CheckpointSaver` with files that appear whole or not at all.

    With ``save_key_metric`` it also remembers the best value across an
    interruption if `TrainingProgress` holds it.
    """

    def __init__(self, save_dir: str, save_dict: dict, **settings: Any) -> None:
        super().__init__(save_dir, save_dict, **settings)
        names = {
            "_final_checkpoint": settings.get("final_filename"),
            "_key_metric_checkpoint": settings.get("key_metric_filename"),
            "_interval_checkpoint": None,
        }
        for attribute, filename in names.items():
            checkpoint = getattr(self, attribute)
            if checkpoint is not None:
                checkpoint.save_handler = _WholeFiles(save_dir, filename)

    def state_dict(self) -> dict[str, Any]:
        """The best values so far and the files that hold them."""
        return {} if self._key_metric_checkpoint is None else dict(self._key_metric_checkpoint.state_dict())

    def load_state_dict(self, state_dict: Mapping) -> None:
        """Go on from what `state_dict` gave."""
        if state_dict:
            super().load_state_dict(dict(state_dict))


class ResumableEarlyStop(EarlyStopHandler):
    """MONAI's `EarlyStopHandler` with a count of validations without gain that survives an interruption."""

    def state_dict(self) -> dict[str, Any]:
        """Best score and count."""
        return {} if self._handler is None else dict(self._handler.state_dict())

    def load_state_dict(self, state_dict: Mapping) -> None:
        """Go on from what `state_dict` gave."""
        if state_dict and self._handler is not None:
            self._handler.load_state_dict(state_dict)


class TrainingProgress:
    """State that a checkpoint must hold besides network, optimizer, schedule and trainer.

    Parameters
    ----------
    trainer, evaluator : Engine
        The trainer's gradient scaler and the evaluator's best metric are kept.
    early_stop : ResumableEarlyStop
    save_best : WholeFileCheckpointSaver
    """

    def __init__(
        self,
        trainer: Any,
        evaluator: Any,
        early_stop: ResumableEarlyStop,
        save_best: WholeFileCheckpointSaver,
    ) -> None:
        self.trainer = trainer
        self.evaluator = evaluator
        self.early_stop = early_stop
        self.save_best = save_best

    def state_dict(self) -> dict[str, Any]:
        """Plain values only, which ``torch.load(..., weights_only=True)`` reads."""
        scaler = getattr(self.trainer, "scaler", None)
        return {
            "early_stop": self.early_stop.state_dict(),
            "save_best": self.save_best.state_dict(),
            "scaler": {} if scaler is None else scaler.state_dict(),
            "best_metric": float(self.evaluator.state.best_metric),
            "best_metric_epoch": int(self.evaluator.state.best_metric_epoch),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.early_stop.load_state_dict(state_dict["early_stop"])
        self.save_best.load_state_dict(state_dict["save_best"])
        if state_dict["scaler"] and getattr(self.trainer, "scaler", None) is not None:
            self.trainer.scaler.load_state_dict(state_dict["scaler"])
        self.evaluator.state.best_metric = state_dict["best_metric"]
        self.evaluator.state.best_metric_epoch = state_dict["best_metric_epoch"]


class ResumeTraining:
    """Resume from a training checkpoint. Without one, nothing happens.

    Parameters
    ----------
    checkpoint : str or None
        From `bundle.scripts.latest_checkpoint`.
    objects : dict
        Name to object with ``load_state_dict``.
    optional : tuple of str
        Names that older checkpoints lack. A missing one causes a warning.
    map_location : torch.device, optional

    Raises
    ------
    SegmentationError
        When training starts, if the checkpoint cannot be read, lacks an object,
        or belongs to another network or optimizer.
    """

    def __init__(
        self,
        checkpoint: str | None,
        objects: dict[str, Any],
        optional: tuple[str, ...] = ("progress",),
        map_location: torch.device | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.objects = objects
        self.optional = tuple(optional)
        self.map_location = map_location

    def attach(self, engine: Engine) -> None:
        """Load when ``engine`` starts."""
        if self.checkpoint is not None:
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        path = str(self.checkpoint)
        found = load_checkpoint(path, self.map_location)
        missing = [name for name in self.objects if name not in found]
        if fatal := [name for name in missing if name not in self.optional]:
            raise SegmentationError(
                path,
                f"it lacks {', '.join(fatal)}",
                "a checkpoint of this training",
                "Choose another --ckpt_dir, or remove the file to start again.",
            )
        if missing:
            warnings.warn(
                f"{path} holds no {', '.join(missing)} (an older version wrote it): training continues, "
                "but early stopping and the choice of the best weights start again.",
                stacklevel=1,
            )
        wanted, rates = engine.state.max_epochs, _learning_rates(self.objects)
        try:
            Checkpoint.load_objects({k: v for k, v in self.objects.items() if k in found}, found)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise SegmentationError(
                path,
                f"states that do not fit ({next(iter(str(error).splitlines()), '')})",
                "a checkpoint of the configured network and optimizer",
                "Train with the configs that wrote it, or choose another --ckpt_dir.",
            ) from error
        if wanted is not None and engine.state.epoch > wanted:
            raise SegmentationError(
                path,
                f"{engine.state.epoch} epochs done",
                f"at most --max_epochs {wanted}",
                "Raise --max_epochs, or choose another --ckpt_dir.",
            )
        if rates != (kept := _learning_rates(self.objects)):
            engine.logger.warning(
                f"the learning rate stays {kept[0]:g}, as {Path(path).name} has it, and not {rates[0]:g}: "
                "for another one, start with --start_weights (demo_finetune.yaml) in another --ckpt_dir"
            )
        engine.state.max_epochs = wanted
        engine.logger.info(f"resumed from {path} at epoch {engine.state.epoch}")


def _learning_rates(objects: Mapping[str, Any]) -> list[float]:
    """The learning rates that the optimizer began with; empty without one."""
    groups = getattr(objects.get("optimizer"), "param_groups", ())
    return [float(group.get("initial_lr", group["lr"])) for group in groups]
