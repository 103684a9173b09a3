"""Format the models of dated events and of muscle composition, and the power of the cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.definitions import label_of
from analysis.text_tables import TextTable, format_count, format_number, format_p, format_ratio

__all__ = ["competing_table", "composition_table", "power_text"]

Row = dict[str, Any]


def competing_table(table: pd.DataFrame) -> TextTable:
    """Cause-specific and subdistribution hazard ratios side by side."""
    rows: list[Row] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    cells, remarks, blocks = [], {}, set()
    for i, row in enumerate(rows):
        before = rows[i - 1] if i else {}
        new = [row[key] != before.get(key) for key in ("event", "exposure", "contrast")]
        if i and any(new[:2]):
            blocks.add(i)
        if row["note"] and (any(new[:2]) or row["note"] != before.get("note")):
            remarks[i] = row["note"]
        cells.append((
            label_of(row["event"]) if new[0] else "",
            label_of(row["exposure"]) if any(new[:2]) else "",
            row["contrast"] if any(new) else "",
            row["model"],
            f"{format_count(row['events'])} / {format_count(row['n'])}",
            format_count(row["died_first"]),
            *(cell for kind in ("cause", "sub") for cell in _ratio(row, kind)),
        ))  # fmt: skip
    return TextTable(
        "Dated events, with death as competing event",
        ("Event", "Exposure", "Contrast", "Model", "Events / n", "Died first", "Cause-specific HR (95% CI)", "p",
         "Subdistribution HR (95% CI)", "p"),
        tuple(cells),
        "Cause-specific: Cox’s model with death as end of follow-up, for causes. Subdistribution: Fine and Gray’s "
        "model, for the risk itself; robust intervals. Only first events after imaging count.",
        4,
        frozenset(blocks),
        remarks,
    )  # fmt: skip


def composition_table(table: pd.DataFrame) -> TextTable:
    """Groups of muscle composition against the normal one."""
    rows: list[Row] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    cells, blocks, remarks = [], set(), {}
    for i, row in enumerate(rows):
        new = i == 0 or any(row[key] != rows[i - 1][key] for key in ("outcome", "measure"))
        if row["note"] and row["note"] not in ("reference", rows[i - 1]["note"] if i else ""):
            remarks[i] = row["note"]
        if i and new:
            blocks.add(i)
        ratio = "reference" if row["group"] == "normal" else "not estimable"
        if np.isfinite(row["ratio"]):
            ratio = format_ratio(row["ratio"], row["ci_low"], row["ci_high"])
        cells.append((
            label_of(row["outcome"]) if new else "", row["measure"] if new else "", row["group"],
            f"{format_count(row['events'])} / {format_count(row['n'])}", ratio, format_p(row["p_value"]),
        ))  # fmt: skip
    return TextTable(
        "Muscle composition",
        ("Outcome", "Ratio", "Composition", "Events / n", "Ratio (95% CI)", "p"),
        tuple(cells),
        "Groups after Linge 2021: high fat is above the 75th percentile of the sex; low volume is a z score for sex, "
        "weight and height below the 25th percentile of everybody; adverse is both. Adjusted; Wald’s intervals.",
        3,
        frozenset(blocks),
        remarks,
    )


def power_text(table: pd.DataFrame) -> TextTable:
    """Smallest odds ratio, width of the interval and power, by outcome."""
    rows: list[Row] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    ratios = [name for name in table.columns if name.startswith("power_at_")]
    cells = [
        (label_of(row["outcome"]) if i % 2 == 0 else "", row["contrast"],
         f"{format_count(row['events'])} / {format_count(row['people'])}" if i % 2 == 0 else "",
         *(_three_digits(row[name]) for name in ("smallest_ratio", "interval_ratio")),
         *(format_number(row[name], 2) for name in ratios))
        for i, row in enumerate(rows)
    ]  # fmt: skip
    first = rows[0]
    return TextTable(
        "Power and precision",
        ("Outcome", "Contrast", "Events / n", "OR found with 80%", "Upper / lower end",
         *(f"Power at {name.removeprefix('power_at_')}" for name in ratios)),
        tuple(cells),
        "What a cohort of this size finds at a two-sided level of 0.05; covariates explain "
        f"{100 * first['r2']:.0f}% of the variance of {label_of(first['exposure'])}. Upper / lower end: of the 95% "
        "interval. It tells what was possible, and nothing about the estimates above.",
        2,
    )  # fmt: skip


def _three_digits(ratio: float) -> str:
    return format_number(ratio, 3 if ratio < 10 else 1) if ratio < 1000 else ">1000"


def _ratio(row: Row, kind: str) -> tuple[str, str]:
    name = f"{kind}_hazard_ratio"
    if not np.isfinite(row[name]):
        return "not estimable", "–"
    return format_ratio(row[name], row[f"{name}_low"], row[f"{name}_high"]), format_p(row[f"{name}_p"])
