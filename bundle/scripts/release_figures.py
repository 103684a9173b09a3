"""Figures of an evaluation for a released bundle."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.scripts.metric_tables import MEAN_ROW
from operators.core.errors import InputError

__all__ = ["Figures", "copy_tables", "read_figures"]

_COLUMNS = ("labels", "structure", "participants", "missed", "dice", "dice_low", "dice_high", "hd95_mm")
_PICTURES = ("metrics.svg", "metrics.png", "metrics_weak.svg", "metrics_weak.png")


@dataclass(frozen=True)
class Figures:
    """An evaluation's table by structure.

    Attributes
    ----------
    rows : tuple of mapping
        Rows of ``by_structure.csv``.
    """

    rows: tuple[Mapping[str, str], ...]

    def structures(self, labels: str) -> list[Mapping[str, str]]:
        """Rows of structures, against ``annotated`` or ``weak`` labels."""
        return [row for row in self.rows if row["labels"] == labels and row["structure"] != MEAN_ROW]

    def mean(self, labels: str = "annotated") -> Mapping[str, str] | None:
        """The mean over structures, or None if there are no such labels."""
        found = (row for row in self.rows if row["labels"] == labels and row["structure"] == MEAN_ROW)
        return next(found, None)

    @property
    def mean_dice(self) -> float | None:
        """Mean Dice with annotated labels only, because agreement with another program is not accuracy."""
        row = self.mean()
        return round(float(row["dice"]), 3) if row and row["dice"] else None


def read_figures(folder: Path) -> Figures:
    """Read the table that `evaluate.yaml` or `bundle.scripts.metrics` wrote.

    Raises
    ------
    InputError
        If the folder has no ``by_structure.csv``, or the table has other columns.
    """
    path = folder / "by_structure.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = tuple(csv.DictReader(file))
        figures = Figures(rows)
        if not rows or any(column not in row for row in rows for column in _COLUMNS):
            raise ValueError("columns are missing")
        for row in rows:
            _numbers(row, ("dice", "hd95_mm"))
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"--metrics {folder}",
            f"no usable by_structure.csv ({type(error).__name__})",
            "the output folder of evaluate.yaml or of bundle.scripts.metrics",
            "Evaluate first, or leave --metrics out.",
        ) from error
    return figures


def copy_tables(folder: Path, out: Path) -> None:
    """Copy tables and figures of an evaluation without the participants' names.

    ``by_participant.csv`` names participants by their folders. In the copy they
    are numbered.
    """
    out.mkdir(parents=True)
    for name in ("by_structure.csv", *_PICTURES):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    if (folder / "by_participant.csv").is_file():
        with (folder / "by_participant.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        numbers: dict[str, str] = {}
        for row in rows[1:]:
            row[0] = numbers.setdefault(row[0], str(len(numbers) + 1))
        with (out / "by_participant.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def _numbers(row: Mapping[str, str], names: Sequence[str]) -> None:
    for name in names:
        if row[name]:
            float(row[name])
