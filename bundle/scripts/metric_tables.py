"""Scores of many participants as tables, with bootstrap intervals over participants."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.scripts.segmentation_metrics import METRICS, ParticipantScores
from operators.core import anatomy
from operators.core.output_files import replacing

__all__ = ["MEAN_ROW", "Estimate", "bootstrap_mean", "score_matrix", "structure_means", "write_tables"]

MEAN_ROW = "mean over structures"


@dataclass(frozen=True)
class Estimate:
    """A mean over participants with its 95% percentile bootstrap interval; NaN without participants.

    Attributes
    ----------
    mean, low, high : float
    count : int
        Number of participants that have a value.
    """

    mean: float
    low: float
    high: float
    count: int


def score_matrix(scores: Sequence[ParticipantScores], metric: str) -> NDArray[np.float64]:
    """One metric, shape (participants, structures), NaN where a structure is absent or has no value."""
    return np.array(
        [
            [getattr(p.structures[s.name], metric) if s.name in p.structures else np.nan for s in anatomy.STRUCTURES]
            for p in scores
        ],
        dtype=np.float64,
    ).reshape(len(scores), len(anatomy.STRUCTURES))


def bootstrap_mean(values: NDArray[np.float64], draws: int = 2000, seed: int = 0) -> Estimate:
    """Mean of the values that are not NaN, with its interval.

    Parameters
    ----------
    values : ndarray, shape (participants,)
    draws : int
        Number of resamples of participants with replacement.
    seed : int
    """
    present = values[~np.isnan(values)]
    if not present.size:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    chosen = np.random.default_rng(seed).integers(0, present.size, (draws, present.size))
    low, high = np.percentile(present[chosen].mean(axis=1), [2.5, 97.5])
    return Estimate(float(present.mean()), float(low), float(high), int(present.size))


def structure_means(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each participant's mean over the structures that have a value, shape (participants,)."""
    counts = (~np.isnan(matrix)).sum(axis=1)
    sums = np.nansum(matrix, axis=1)
    return np.divide(sums, counts, out=np.full(len(matrix), np.nan), where=counts > 0)


def write_tables(scores: Sequence[ParticipantScores], out: Path) -> None:
    """Write ``by_participant.csv`` and ``by_structure.csv`` into a folder.

    The first has one row per participant and structure. The second has the mean
    of every metric with its interval, in one row per structure and one row for
    the mean over structures. Participants with weak labels have separate rows
    (column ``labels``) and never enter those of the annotated ones.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _table(out / "by_participant.csv") as rows:
        rows.append(["participant", "labels", "structure", *METRICS])
        for person in scores:
            for name, values in person.structures.items():
                cells = [_cell(getattr(values, metric)) for metric in METRICS]
                rows.append([person.participant, _kind(person.weak), name, *cells])
    with _table(out / "by_structure.csv") as rows:
        columns = [column for metric in METRICS for column in (metric, f"{metric}_low", f"{metric}_high")]
        rows.append(["labels", "structure", "compartment", "participants", "missed", *columns])
        for weak in (False, True):
            chosen = [person for person in scores if person.weak == weak]
            if chosen:
                rows.extend(_summary(chosen, _kind(weak)))


def _summary(scores: Sequence[ParticipantScores], kind: str) -> list[list[str]]:
    matrices = {metric: score_matrix(scores, metric) for metric in METRICS}
    rows = []
    for place, structure in enumerate(anatomy.STRUCTURES):
        dice = matrices["dice"][:, place]
        if not np.isnan(dice).all():
            missed = _missed(matrices["relative_volume_error"][:, place])
            head = [kind, structure.name, str(structure.compartment), str(int((~np.isnan(dice)).sum())), str(missed)]
            rows.append(head + _cells([bootstrap_mean(matrices[metric][:, place]) for metric in METRICS]))
    missed = _missed(matrices["relative_volume_error"])
    means = [bootstrap_mean(structure_means(matrices[metric])) for metric in METRICS]
    rows.append([kind, MEAN_ROW, "", str(len(scores)), str(missed), *_cells(means)])
    return rows


def _missed(relative_volume_error: NDArray[np.float64]) -> int:
    """Number of participants without any found voxel. A structure in the wrong place is not missed."""
    return int(np.count_nonzero(relative_volume_error == -1))


def _cells(estimates: Sequence[Estimate]) -> list[str]:
    return [_cell(value) for e in estimates for value in (e.mean, e.low, e.high)]


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def _kind(weak: bool) -> str:
    return "weak" if weak else "annotated"


@contextmanager
def _table(path: Path) -> Iterator[list[list[str]]]:
    """Collects rows in a list and writes them at the end."""
    rows: list[list[str]] = []
    yield rows
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
