"""Writing the results: tables, figures, one self-contained page, and what they were made from."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, select_autoescape

from analysis.definitions import EXPOSURES, OUTCOMES
from analysis.describe import MEASURES
from analysis.figures import box_by_age, concordance_figure, decline_by_age, flow_figure, forest, save
from analysis.figures.style import MEASURE_LABEL
from analysis.run import Results
from analysis.tables import write_table, write_text
from analysis.text_tables import to_latex, to_markdown

__all__ = ["format_p", "write_results"]


def write_results(
    out: Path, results: Results, made_from: Mapping[str, Any], progress: Callable[[str], None] = lambda label: None
) -> Path:
    """Write everything into ``out``; returns the path of the page.

    Parameters
    ----------
    out : Path
        Made if absent; files of the same names are replaced.
    results : Results
    made_from : mapping
        `analysis.provenance.provenance`.
    progress : callable
        Told what is being written.
    """
    for name, table in results.tables.items():
        write_table(table, out / "tables" / f"{name}.csv")
    for name, (header, rows) in _manuscript_tables(results.tables).items():
        write_text(to_markdown(header, rows), out / "tables" / f"{name}.md")
        write_text(to_latex(header, rows), out / "tables" / f"{name}.tex")
    cohort, folder = results.cohort, out / "figures"
    ratios = results.tables["associations"]
    figures: dict[str, str] = {}
    makers: dict[str, Callable[[], Any]] = {
        "flow": lambda: flow_figure(cohort.flow),
        "concordance": lambda: concordance_figure(cohort.analysed),
        "box_by_age": lambda: box_by_age(cohort.all_ages, cohort.cut_offs),
        "decline": lambda: decline_by_age(cohort.analysed),
        "forest": lambda: forest(ratios),
    }
    for name, maker in makers.items():
        progress(f"figure {name}")
        png, _ = save(maker(), folder, name)
        figures[name] = "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode("ascii")
    progress("page")
    write_text(json.dumps(made_from, indent=2, ensure_ascii=False) + "\n", out / "provenance.json")
    write_text(yaml.safe_dump(made_from["options"], sort_keys=False), out / "options.yaml")
    page = out / "report.html"
    write_text(_render(results, made_from, figures), page)
    return page


def _render(results: Results, made_from: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("analysis", "templates"),
        autoescape=select_autoescape(default_for_string=True, default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"p": format_p, "count": _count, "fixed": _fixed}
    tables = results.tables
    return environment.get_template("report.html.j2").render(
        cohort=results.cohort,
        n=len(results.cohort.analysed),
        figures=figures,
        made_from=made_from,
        table_one=_table_one_rows(tables["table1"]),
        concordance=_records(tables["concordance"]),
        decline=_decline_parts(tables["decline"]),
        trend=_trend_blocks(tables["trend"]),
        associations=_association_blocks(tables["associations"]),
        stratified=_records(tables["sex_stratified"]),
        per_sd=_records(tables["per_sd"]),
        sensitivity=_records(tables["sensitivity"]),
        notes=_records(tables["notes"]),
        exposures=EXPOSURES,
        outcomes=OUTCOMES,
        labels=MEASURE_LABEL,
    )


def format_p(p: float | None) -> str:
    """As journals print it: three decimals, or two digits' exponent below 0.001."""
    if p is None or not np.isfinite(p):
        return "–"
    if p < 1e-300:
        return "<1e−300"
    if p < 0.001:
        mantissa, exponent = f"{p:.0e}".split("e")
        return f"{mantissa}e−{int(exponent[1:])}"
    return f"{p:.3f}"


def _count(number: float) -> str:
    return f"{int(number):,}".replace(",", "\u2009")


def _fixed(number: float | None, decimals: int = 2) -> str:
    if number is None or not np.isfinite(number):
        return "–"
    text = f"{number:.{decimals}f}"
    if float(text) == 0.0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _table_one_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for row in _records(table):
        cells = {"label": row["label"], "difference": _fixed(row["standardised_difference"])}
        decimals = MEASURES[row["variable"]][1] if row["variable"] in MEASURES else 0
        for who in ("all", "men", "women"):
            first, second, n = row[f"{who}_first"], row[f"{who}_second"], row[f"{who}_n"]
            if not n or not np.isfinite(first):
                cells[who] = "–"
            elif row["statistic"] == "n, percent":
                share = f"{second:.2f}" if second < 10 else f"{second:.1f}"
                cells[who] = f"{_count(first)} ({share}%)"
            else:
                cells[who] = f"{first:.{decimals}f} ± {_fixed(second, decimals)}"
        rows.append(cells)
    return rows


def _manuscript_tables(tables: Mapping[str, pd.DataFrame]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Table 1 and the associations, as a manuscript shows them."""
    one = [[row[key] for key in ("label", "all", "men", "women", "difference")] for row in
           _table_one_rows(tables["table1"])]  # fmt: skip
    ratios = []
    for block in _association_blocks(tables["associations"]):
        counts = block["counts"]
        cells = [EXPOSURES[block["exposure"]], OUTCOMES[block["outcome"]]]
        cells += [f"{counts[f'events_{third}']}/{counts[f'n_{third}']}" for third in ("low", "high")]
        for model in ("crude", "adjusted"):
            cells += [_ratio(block[model]), format_p(block[model]["p_value"])] if model in block else ["–", "–"]
        ratios.append(cells)
    return {
        "table1": (["", "All", "Men", "Women", "Standardised difference"], one),
        "associations": (
            [
                "Exposure",
                "Outcome",
                "Lowest third",
                "Highest third",
                "Crude OR (95% CI)",
                "p",
                "Adjusted OR (95% CI)",
                "p",
            ],
            ratios,
        ),
    }


def _ratio(row: Mapping[str, Any]) -> str:
    if not np.isfinite(row["odds_ratio"]):
        return "not estimable"
    firth = " (Firth)" if row["method"] == "firth" else ""
    return f"{_fixed(row['odds_ratio'])} ({_fixed(row['ci_low'])}–{_fixed(row['ci_high'])}){firth}"


def _decline_parts(table: pd.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """The main measures, and the structures apart."""
    main = table["measure"].isin(list(MEASURE_LABEL))
    parts = [("Change per decade of age", table[main]), ("Change per decade of every structure", table[~main])]
    return [(title, _records(part)) for title, part in parts if len(part)]


def _trend_blocks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One line per outcome and sex, its age groups side by side."""
    blocks = []
    for (outcome, sex), part in table.groupby(["outcome", "sex"], sort=False):
        cells = {row["age_group"]: f"{row['percent']:.1f}% ({row['events']}/{row['n']})" for row in _records(part)}
        first = part.iloc[0]
        blocks.append({"outcome": outcome, "sex": sex, "cells": cells, "p": first["p_trend"]})
    return blocks


def _association_blocks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One line per exposure and outcome, crude and adjusted side by side."""
    blocks = []
    for (exposure, outcome), part in table.groupby(["exposure", "outcome"], sort=False):
        models = {row["model"]: row for row in _records(part)}
        blocks.append({"exposure": exposure, "outcome": outcome, "counts": _records(part)[-1], **models})
    return blocks
