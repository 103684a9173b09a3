"""Rows of a table as mappings, and where its blocks begin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Row", "blocks", "reasons", "records"]

Row = dict[str, Any]


def records(table: pd.DataFrame) -> list[Row]:
    """Every row as a mapping of column to value."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def blocks(rows: list[Row], by: str) -> frozenset[int]:
    """Indices of the rows whose value differs from that of the row above."""
    return frozenset(i for i in range(1, len(rows)) if rows[i][by] != rows[i - 1][by])


def reasons(rows: list[Row], value: str) -> dict[int, str]:
    """Why rows have no number in the column ``value``: their notes, by index, as remarks of a printed table."""
    return {i: str(row["note"]) for i, row in enumerate(rows) if row["note"] and not np.isfinite(row[value])}
