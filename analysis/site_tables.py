"""Format the comparison of centres and scanners, and odds ratios without measurement error, as tables of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.definitions import label_of
from analysis.text_tables import TextTable, format_count, format_number, format_p, format_ratio

__all__ = ["site_differences_table", "sites_table", "undiluted_table"]

Row = dict[str, Any]


def site_differences_table(table: pd.DataFrame) -> TextTable:
    """How much centres differ in each measure, before and after ComBat."""
    rows: list[Row] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    cells = []
    for i, row in enumerate(rows):
        new = i == 0 or row["site"] != rows[i - 1]["site"]
        line = [label_of(row["site"]) if new else "", label_of(row["measure"]),
                f"{format_count(row['n'])} in {row['sites']}"]  # fmt: skip
        for when in ("", "_after"):
            reach, share, p_value = (row.get(f"{key}{when}", np.nan) for key in ("range_sd", "share", "p_value"))
            line += [format_number(reach, 3), _per_cent(share), format_p(p_value)]
        cells.append(tuple(line))
    return TextTable(
        "Differences between centres or scanners",
        ("By", "Measure", "People", "Range, SD", "Share of variance", "p", "After ComBat: range", "Share", "p"),
        tuple(cells),
        "Range: largest minus smallest mean, adjusted for the covariates, in residual SD. Share: of the residual "
        "variance between sites, by a linear mixed model. p: F test. ComBat (Johnson 2007) keeps what the covariates "
        "explain.",
        2,
    )


def sites_table(table: pd.DataFrame) -> TextTable:
    """Odds ratios with the sites handled in four ways."""
    rows: list[Row] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    cells, remarks, blocks = [], {}, set()
    for i, row in enumerate(rows):
        before = rows[i - 1] if i else {}
        same = [row[key] == before.get(key) for key in ("site", "exposure", "outcome")]
        if i and not all(same):
            blocks.add(i)
        ratio = row.get("odds_ratio", np.nan)
        if isinstance(row.get("note"), str) and row["note"]:
            remarks[i] = row["note"]
        cells.append((
            label_of(row["site"]) if not same[0] else "",
            f"{label_of(row['exposure'])}, {label_of(row['outcome']).lower()}" if not all(same) else "",
            row["handling"],
            f"{format_count(row['events'])} / {format_count(row['n'])}" if not all(same) else "",
            format_ratio(ratio, row.get("ci_low", np.nan), row.get("ci_high", np.nan)),
            format_p(row.get("p_value", np.nan)),
            _site(row),
        ))  # fmt: skip
    return TextTable(
        "Odds ratios with and without the centre or scanner",
        ("By", "Association", "Sites", "Events / n", "OR per SD (95% CI)", "p", "Of the sites"),
        tuple(cells),
        "The same people and covariates in each. Wald’s intervals. Of the sites: p of the factor (likelihood ratio); "
        "SD of the random intercepts, log odds. ComBat harmonises the MRI measures and does not use the outcome.",
        3,
        frozenset(blocks),
        remarks,
    )


def undiluted_table(table: pd.DataFrame) -> TextTable:
    """Odds ratios as measured, and corrected for random error in two ways."""
    rows: list[Row] = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    cells, remarks, blocks = [], {}, set()
    for i, row in enumerate(rows):
        new = i == 0 or any(row[key] != rows[i - 1][key] for key in ("exposure", "source"))
        if i and new:
            blocks.add(i)
        if row["note"]:
            remarks[i] = row["note"]
        cells.append((
            label_of(row["exposure"]) if new else "", row["source"] if new else "", label_of(row["outcome"]),
            format_number(row["reliability"], 3), format_number(row["odds_ratio_measured"]),
            _with_interval(row, "odds_ratio"), _with_interval(row, "simex"),
        ))  # fmt: skip
    return TextTable(
        "Odds ratios without the dilution by measurement error",
        ("Exposure", "Error from", "Outcome", "Reliability", "OR per SD, as measured",
         "Regression calibration (95% CI)", "SIMEX (95% CI)"),
        tuple(cells),
        "Reliability: share of the exposure’s variance, given the covariates, that is not error. Both methods take the "
        "error as random, unrelated to the outcome and of known size. The within-person SD of repeated imaging also "
        "contains true change, so that its correction is too large rather than too small.",
        3,
        frozenset(blocks),
        remarks,
    )  # fmt: skip


def _with_interval(row: Row, name: str) -> str:
    low, high = (row["ci_low"], row["ci_high"]) if name == "odds_ratio" else (row["simex_low"], row["simex_high"])
    return format_ratio(row[name], low, high)


def _site(row: Row) -> str:
    if np.isfinite(row.get("p_site", np.nan)):
        return f"p {format_p(row['p_site'])}"
    return f"SD {format_number(row['site_sd'], 3)}" if np.isfinite(row.get("site_sd", np.nan)) else ""


def _per_cent(share: float) -> str:
    return f"{100 * share:.2f}%" if np.isfinite(share) else "–"
