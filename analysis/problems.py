"""Problems of a table: those that refuse it, all reported at once, and those that are only noted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import DataError

__all__ = ["Note", "Problems"]

_ROWS_SHOWN = 5


@dataclass(frozen=True)
class Note:
    """A change in the data that is shown with the results.

    Attributes
    ----------
    where : str
        Table and column.
    rule : str
        What was changed, and why.
    count : int
        Number of changed rows.
    first_rows : tuple of int
        First changed data rows, counted from 1 below the header.
    """

    where: str
    rule: str
    count: int
    first_rows: tuple[int, ...]


class Problems:
    """Collects all problems of one table, to report them at once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: list[str] = []
        self.remedies: list[str] = []
        self.notes: list[Note] = []

    def add(self, column: str, rule: str, wrong: pd.Series, remedy: str) -> None:
        """Record a problem that refuses the table, with the rows where it is."""
        rows = _rows(wrong)
        self.lines.append(
            f"column {column}: {rule} in {int(wrong.sum())} of {len(wrong)} rows (first: {', '.join(map(str, rows))})"
        )
        self.remedies.append(remedy)

    def refuse(self, column: str, found: str, remedy: str) -> None:
        """Record a problem of a whole column."""
        self.lines.append(f"column {column}: {found}")
        self.remedies.append(remedy)

    def note(self, column: str, rule: str, wrong: pd.Series) -> None:
        """Record a change, if there is one."""
        if wrong.any():
            self.notes.append(Note(f"{self.where}, {column}", rule, int(wrong.sum()), _rows(wrong)))

    def raise_if_any(self, expected: str) -> None:
        """Raise `DataError` with every problem that was recorded."""
        if self.lines:
            raise DataError(self.where, "; ".join(self.lines), expected, " ".join(dict.fromkeys(self.remedies)))


def _rows(wrong: pd.Series) -> tuple[int, ...]:
    return tuple(int(row) + 1 for row in np.flatnonzero(wrong.to_numpy(dtype=bool))[:_ROWS_SHOWN])
