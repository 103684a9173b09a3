"""Rows of a table as mappings, and where its blocks begin."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["Row", "blocks", "records"]

Row = dict[str, Any]


def records(table: pd.DataFrame) -> list[Row]:
    """Every row as a mapping of column to value."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def blocks(rows: list[Row], by: str) -> frozenset[int]:
    """Indices of the rows whose value differs from that of the row above."""
    return frozenset(i for i in range(1, len(rows)) if rows[i][by] != rows[i - 1][by])
