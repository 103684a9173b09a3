"""Intervals as the page shows them, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operators.core.phenotypes import Phenotype
from operators.phenotype_report.page_numbers import percent, shown

__all__ = ["about_intervals", "interval_words"]


def interval_words(phenotype: Phenotype, value: float, interval: Mapping[str, float]) -> str:
    """The limits of an interval of the report, with the digits of its number; said if the number lies outside."""
    low, high = (shown(phenotype, interval[end], interval["standard_error"]) for end in ("low", "high"))
    return f"{low} to {high}" if interval["low"] <= value <= interval["high"] else f"more likely {low} to {high}"


def about_intervals(report: Mapping[str, Any]) -> str:
    """What the ranges on the cards are, or why there are none; empty for reports that do not know."""
    told = report.get("uncertainty", {})
    if report["quality"]["withheld"] or not told:
        return ""
    if told["level"] is None:
        return f"No intervals. {told['reason'] or ''}".strip()
    return (
        f"Ranges hold the truth in {percent(told['level'], 0)} of studies like those of the calibration "
        f"({report['calibration']['studies']}). They allow for the network's known bias, so a number need not lie in "
        "the middle of its range. “More likely” stands before a range that does not hold its number, because the "
        "network is known to find too little or too much. A number that a warning casts doubt on has none."
    )
