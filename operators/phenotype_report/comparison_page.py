"""The page of `sarcomap compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operators.core.rounding import REPEATABILITY_SOURCE
from operators.phenotype_report.comparison import Change
from operators.phenotype_report.page_numbers import shown
from operators.phenotype_report.page_templates import template

__all__ = ["comparison_page"]


def comparison_page(
    before: Mapping[str, Any], after: Mapping[str, Any], changes: Sequence[Change], notes: Sequence[str]
) -> str:
    """Render the page.

    Parameters
    ----------
    before, after : mapping
        The two reports.
    changes : sequence of Change
    notes : sequence of str
        What differs between the runs besides the person.
    """
    rows = [
        {
            "title": change.phenotype.title,
            "unit": change.phenotype.unit.symbol,
            "before": shown(change.phenotype, change.before),
            "after": shown(change.phenotype, change.after),
            "change": shown(change.phenotype, change.difference),
            "detectable": shown(change.phenotype, change.detectable),
            "verdict": change.verdict,
        }
        for change in changes
    ]
    return template("comparison_page.html.j2").render(
        before=before, after=after, rows=rows, notes=notes, source=REPEATABILITY_SOURCE
    )
