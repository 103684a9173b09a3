"""Format the results of the further analyses as tables of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from analysis.definitions import label_of
from analysis.text_tables import TextTable, format_count, format_interval, format_number, format_p

__all__ = ["FURTHER"]

Row = dict[str, Any]


def _records(table: pd.DataFrame) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _blocks(rows: list[Row], by: str) -> frozenset[int]:
    return frozenset(i for i in range(1, len(rows)) if rows[i][by] != rows[i - 1][by])


def _once(rows: list[Row], *keys: str) -> list[bool]:
    """Whether a row's keys differ from those of the row above."""
    return [i == 0 or any(row[key] != rows[i - 1][key] for key in keys) for i, row in enumerate(rows)]


def _with_interval(value: float, low: float, high: float, decimals: int) -> str:
    if not np.isfinite(value):
        return "–"
    if not (np.isfinite(low) and np.isfinite(high)):
        return format_number(value, decimals)
    return f"{format_number(value, decimals)} ({format_interval(low, high, decimals)})"


def _markers(table: pd.DataFrame) -> TextTable:
    rows = [row for row in _records(table) if np.isfinite(row["value"])]
    cells = []
    for row, new in zip(rows, _once(rows, "outcome", "measure"), strict=True):
        model = row["model"] + (f", against {row['against']}" if row["against"] not in ("", "covariates") else "")
        cells.append((
            f"{label_of(row['outcome'])}{', dated' if row['measure'] == 'C' else ''}" if new else "",
            model,
            f"{format_count(row['events'])} / {format_count(row['n'])}" if new else "",
            f"{row['measure']} {format_number(row['value'], 3)}",
            _with_interval(row["change"], row["ci_low"], row["ci_high"], 4),
            format_number(row["chi_square"], 1),
            format_p(row["p_likelihood_ratio"]),
            format_number(row["brier"], 4),
        ))  # fmt: skip
    how = ", ".join(dict.fromkeys(str(row["interval"]) for row in rows if isinstance(row["interval"], str)))
    corrected = (
        "optimism removed" if any(np.isfinite(row["optimism"]) for row in rows) else "not corrected for optimism"
    )
    return TextTable(
        "Is P/A a better marker?",
        ("Outcome", "Model", "Events / n", "Discrimination", "Change (95% CI)", "χ²", "p (LR)", "Brier score"),
        tuple(cells),
        f"Each model adds markers, per SD, to the covariates. Change: of AUC or Harrell’s C; intervals by {how}; "
        f"{corrected}. χ² and p: likelihood ratio test, which decides whether a marker adds anything, because DeLong’s "
        "interval is too wide for nested models. Outcomes that ALMI or grip define are compared without them.",
        2,
        _blocks(rows, "outcome"),
    )


FURTHER: dict[str, Callable[[pd.DataFrame], TextTable]] = {"markers": _markers}
