"""Table and figure of a training's curve from TensorBoard's logs, over all phases of the training.

    python -m bundle.scripts.training_curve OUT/coarse/log OUT/fine/log --out OUT/curve

Writes training.csv (loss, and mean Dice on the validation participants if it was measured) and training.svg.
Steps are counted through all phases. Each loss is the mean of several steps (--every).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import InputError
from operators.core.output_files import replacing

__all__ = ["Phase", "draw_curve", "read_phase", "write_curve"]


@dataclass(frozen=True)
class Phase:
    """One training from its first step to its last."""

    loss: NDArray[np.float64]
    """Of each step."""
    mean_dice: tuple[tuple[int, float], ...]
    """(step, mean over the structures and the validation participants)."""


def read_phase(log: Path) -> Phase:
    """Read TensorBoard's files in ``log``. If a step was repeated after an interruption, the last value counts.

    Raises
    ------
    InputError
        If the folder holds no loss.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(log), size_guidance={"scalars": 0})
    events.Reload()
    known = events.Tags()["scalars"]
    if "loss" not in known:
        raise InputError(str(log), "no TensorBoard file with a loss", "one", "Give the output_dir of a training.")
    loss = {event.step: event for event in events.Scalars("loss")}
    dice = events.Scalars("mean_dice") if "mean_dice" in known else []
    return Phase(
        np.array([loss[step].value for step in sorted(loss)]),
        # The log numbers validations by epoch; their time stamps tell the step after which they ran.
        tuple((max(s for s, done in loss.items() if done.wall_time <= event.wall_time), event.value) for event in dice),
    )


def write_curve(phases: Sequence[Phase], out: Path, every: int = 40) -> None:
    """Write ``out``/training.csv and ``out``/training.svg. Each loss is the mean of ``every`` steps."""
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "training.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["phase", "step", "loss", "mean_dice"])
        for number, start, phase in _in_turn(phases):
            rows = [(step, f"{loss:.4f}", "") for step, loss in _means(phase.loss, every)]
            rows += [(step, "", f"{dice:.4f}") for step, dice in phase.mean_dice]
            writer.writerows([number, start + step, loss, dice] for step, loss, dice in sorted(rows))
    with replacing(out / "training.svg") as partial:
        draw_curve(phases, partial, every)


def draw_curve(phases: Sequence[Phase], path: Path, every: int = 40) -> None:
    """Draw an SVG: the loss as one line per phase, the mean Dice as points with their values."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: dict[Any, Any] = {
        "font.size": 8,
        "axes.spines.top": False,
        "svg.hashsalt": "sarcomap",
        "savefig.facecolor": "white",
    }
    with pyplot.rc_context(style):
        figure, losses = pyplot.subplots(figsize=(7, 3), layout="constrained")
        scores = losses.twinx()
        for _, start, phase in _in_turn(phases):
            if start:
                losses.axvline(start, color="#cccccc", linewidth=0.8)
            steps, means = zip(*_means(phase.loss, every), strict=True)
            losses.plot(start + np.array(steps), means, color="#0072B2", linewidth=1.2)
            for step, dice in phase.mean_dice:
                scores.plot(start + step, dice, "o", color="#D55E00", markersize=4)
                place = (start + step, dice)
                scores.annotate(f"{dice:.3f}", place, (0, 6), textcoords="offset points", ha="center", color="#D55E00")
        losses.set_xlabel("steps (vertical line: a phase begins)")
        losses.set_ylabel(f"training loss, mean of {every} steps", color="#0072B2")
        scores.set_ylabel("mean Dice on validation participants", color="#D55E00")
        scores.set_ylim(min((dice for phase in phases for _, dice in phase.mean_dice), default=0.5) - 0.05, 1.0)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _in_turn(phases: Sequence[Phase]) -> Iterator[tuple[int, int, Phase]]:
    """Number of each phase, steps before it, and the phase."""
    start = 0
    for number, phase in enumerate(phases, start=1):
        yield number, start, phase
        start += len(phase.loss)


def _means(loss: NDArray[np.float64], every: int) -> list[tuple[int, float]]:
    """(last step, mean) of each run of steps; the last may be shorter."""
    ends = [*range(every, len(loss), every), len(loss)]
    return [(end, float(loss[max(end - every, 0) : end].mean())) for end in ends]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", help="output_dir of each phase, in order")
    parser.add_argument("--out", type=Path, required=True, help="folder for table and figure")
    parser.add_argument("--every", type=int, default=40, help="number of steps averaged for each loss (default: 40)")
    arguments = parser.parse_args()
    try:
        write_curve([read_phase(log) for log in arguments.logs], arguments.out, arguments.every)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(arguments.out / "training.svg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
