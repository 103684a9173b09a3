"""Format the results of the further analyses as tables of text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.competing_tables import competing_table, composition_table, power_text
from analysis.definitions import label_of
from analysis.site_tables import site_differences_table, sites_table, undiluted_table
from analysis.table_rows import Row, blocks, reasons, records
from analysis.text_tables import (
    TextTable,
    format_count,
    format_interval,
    format_mean,
    format_number,
    format_p,
    format_ratio,
)

__all__ = ["FURTHER"]


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
    rows = [row for row in records(table) if np.isfinite(row["value"])]
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
    how = f"; intervals by {how}" if how else ""
    corrected = (
        "optimism is removed, also from the Brier score"
        if any(np.isfinite(row["optimism"]) for row in rows)
        else "AUC, C and Brier score are not corrected for optimism"
    )
    return TextTable(
        "Is P/A a better marker?",
        ("Outcome", "Model", "Events / n", "Discrimination", "Change (95% CI)", "χ²", "p (LR)", "Brier score"),
        tuple(cells),
        "Each model adds markers, per SD, to the covariates. AUC: share of the pairs of a person with and one without "
        f"the outcome that the model puts in the right order. Change: of AUC or Harrell’s C{how}; "
        f"{corrected}. χ² and p: likelihood ratio test, which decides whether a marker adds anything, because DeLong’s "
        "interval is too wide for nested models; it is not corrected for the number of outcomes. Outcomes that ALMI or "
        "grip define are compared without them.",
        2,
        blocks(rows, "outcome"),
    )


def _muscles(table: pd.DataFrame) -> TextTable:
    rows = records(table.sort_values(["outcome", "muscle"], kind="stable"))
    by = {(row["outcome"], row["muscle"], row["model"]): row for row in rows}
    cells: list[tuple[str, ...]] = []
    kept: list[Row] = []
    for outcome, muscle in dict.fromkeys((row["outcome"], row["muscle"]) for row in rows):
        pair = [by[outcome, muscle, model] for model in ("adjusted", "adjusted and TMV")]
        if not all(np.isfinite(row["odds_ratio"]) for row in pair):
            continue
        name = "P/A ratio" if muscle == "pa_ratio" else label_of(muscle)
        line = [label_of(outcome) if not kept or kept[-1]["outcome"] != outcome else "", name]
        for row in pair:
            line += [format_ratio(row["odds_ratio"], row["ci_low"], row["ci_high"]), format_p(row["p_value"]),
                     format_p(row["p_bh"])]  # fmt: skip
        cells.append(tuple(line))
        kept.append({"outcome": outcome})
    return TextTable(
        "Every muscle",
        ("Outcome", "Muscle", "OR per SD (95% CI)", "p", "p (BH)", "and TMV: OR per SD", "p", "p (BH)"),
        tuple(cells),
        "Volume of both sides over squared height, per SD; the same adjustment, then with total muscle volume too. "
        "p (BH) is over the muscles of one outcome and model.",
        2,
        blocks(kept, "outcome"),
    )


def _selection(table: pd.DataFrame) -> TextTable:
    rows = records(table.sort_values(["outcome", "share"], ascending=[True, False], kind="stable")
                    .groupby("outcome", sort=False).head(8))  # fmt: skip
    names = {"pa_ratio": "P/A ratio", "tmv_cm3": "Total muscle volume"}
    cells = [
        (label_of(row["outcome"]) if new else "", names.get(row["marker"], label_of(row["marker"])),
         f"{100 * row['share']:.0f}%")
        for row, new in zip(rows, _once(rows, "outcome"), strict=True)
    ]  # fmt: skip
    return TextTable(
        "Which markers a lasso keeps",
        ("Outcome", "Marker", "Half samples that keep it"),
        tuple(cells),
        "Stability selection (Meinshausen and Bühlmann 2010), 50 halves, covariates not penalised; the eight most "
        "stable. At least 60% counts as stable.",
        2,
        blocks(rows, "outcome"),
    )


def _imputed(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    cells = [
        (label_of(row["exposure"]) if new else "", label_of(row["outcome"]),
         f"{format_count(row['events'])} / {format_count(row['n'])}",
         format_ratio(row["odds_ratio"], row["ci_low"], row["ci_high"]), format_p(row["p_value"]),
         format_number(row["missing_information"], 3))
        for row, new in zip(rows, _once(rows, "exposure"), strict=True)
    ]  # fmt: skip
    return TextTable(
        "Missing covariates imputed",
        ("Exposure", "Outcome", "Events / n", "OR (95% CI)", "p", "Missing information"),
        tuple(cells),
        "Everyone with exposure and outcome; ten imputations by chained equations (predictive mean matching), Rubin’s "
        "rules with Barnard and Rubin’s degrees of freedom. Missing information: share of the variance.",
        2,
        blocks(rows, "exposure"),
        reasons(rows, "odds_ratio"),
    )


def _repeats(table: pd.DataFrame) -> TextTable:
    cells = []
    for row in records(table):
        small = 4 if abs(row["within_sd"]) < 1 else 1
        cells.append((
            label_of(row["measure"]), format_count(row["n"]),
            _with_interval(row["icc"], row["icc_low"], row["icc_high"], 3),
            format_number(row["within_sd"], small), format_number(row["smallest_change"], small),
            _with_interval(row["bias"], row["limit_low"], row["limit_high"], small),
            _with_interval(row["change"], row["change_low"], row["change_high"], small),
        ))  # fmt: skip
    return TextTable(
        "Repeated imaging",
        ("Measure", "People", "ICC (95% CI)", "Within-person SD", "Smallest detectable change",
         "Bias (limits of agreement)", "Change (95% CI)"),
        tuple(cells),
        "ICC(2,1). The within-person SD contains true change between the visits as well as error. Change: mixed model "
        "with a random intercept, people with one visit included.",
    )  # fmt: skip


def _quality(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    cells = [
        (label_of(row["exposure"]) if new else "", label_of(row["outcome"]), row["model"],
         f"{format_count(row['events_low'])} / {format_count(row['n_low'])}",
         f"{format_count(row['events_high'])} / {format_count(row['n_high'])}",
         format_ratio(row["odds_ratio"], row["ci_low"], row["ci_high"]), format_p(row["p_value"]))
        for row, new in zip(rows, _once(rows, "exposure"), strict=True)
    ]  # fmt: skip
    return TextTable(
        "Muscle quality",
        ("Exposure", "Outcome", "Model", "Events / n, lowest", "Events / n, highest", "OR (95% CI)", "p"),
        tuple(cells),
        "Grip per muscle volume is muscle-specific strength, a part of the concept of sarcopenia of the Global "
        "Leadership Initiative in Sarcopenia (Kirk 2024), which names no cut-off; low is the lowest fifth of the sex. "
        "Adverse muscle composition: much fat, and little volume for sex, weight and height (Linge 2021).",
        3,
        blocks(rows, "exposure"),
        reasons(rows, "odds_ratio"),
    )


def _by_group(table: pd.DataFrame) -> TextTable:
    made = []
    groups = list(dict.fromkeys(table["group"]))
    people = dict(zip(table["group"], table["people"], strict=True))
    for label, part in table.groupby("label", sort=False):
        line = [str(label)]
        by = {row["group"]: row for row in records(part)}
        for group in groups:
            row = by[group]
            decimals = 3 if abs(row["first"]) < 1 else 1
            if row["statistic"] == "mean, sd":
                text = format_mean(row["first"], row["second"], decimals)
            elif row["statistic"] == "n, percent":
                text = f"{format_count(row['first'])} ({row['second']:.1f}%)" if row["n"] else "–"
            else:
                text = _with_interval(row["first"], row["second"], row["third"], decimals)
            line.append(text + (f" [{format_count(row['missing'])}]" if row["missing"] else ""))
        made.append(tuple(line))
    head = tuple(f"{group[0].upper()}{group[1:]} (n = {format_count(people[group])})" for group in groups)
    return TextTable(
        "Characteristics by third of P/A and by sarcopenia",
        ("", *head),
        tuple(made),
        "Mean ± SD, median (quartiles) where the distribution is skewed, or number (per cent of known values). In "
        "brackets: missing values.",
    )


def _interactions(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    cells = [
        (label_of(row["exposure"]) if new else "", label_of(row["modifier"]), label_of(row["outcome"]),
         format_p(row["p_interaction"]))
        for row, new in zip(rows, _once(rows, "exposure"), strict=True)
    ]  # fmt: skip
    return TextTable(
        "Interactions",
        ("Exposure", "With", "Outcome", "p of interaction"),
        tuple(cells),
        "Likelihood ratio test of highest against lowest third by the other column, in a model with both.",
        3,
        blocks(rows, "exposure"),
        reasons(rows, "p_interaction"),
    )


def _mediation(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    cells = [
        (label_of(row["outcome"]) if new else "", label_of(row["mediator"]), format_count(row["n"]),
         format_number(100 * row["total"], 3),
         _with_interval(100 * row["direct"], 100 * row["direct_low"], 100 * row["direct_high"], 3),
         _with_interval(100 * row["indirect"], 100 * row["indirect_low"], 100 * row["indirect_high"], 3))
        for row, new in zip(rows, _once(rows, "outcome"), strict=True)
    ]  # fmt: skip
    return TextTable(
        "P/A through mass and strength (cross-sectional)",
        ("Outcome", "Through", "n", "Total", "Direct (95% CI)", "Indirect (95% CI)"),
        tuple(cells),
        "Percentage points of risk per SD of P/A, by linear models with the same adjustment; bootstrap intervals. P/A, "
        "mass and strength were measured on the same day: this splits an association and shows no mechanism.",
        2,
        blocks(rows, "outcome"),
    )


FURTHER: dict[str, Callable[[pd.DataFrame], TextTable]] = {
    "interactions": _interactions,
    "markers": _markers,
    "by_group": _by_group,
    "muscles": _muscles,
    "muscle_selection": _selection,
    "quality": _quality,
    "mediation": _mediation,
    "imputed": _imputed,
    "repeats": _repeats,
    "undiluted": undiluted_table,
    "site_differences": site_differences_table,
    "sites": sites_table,
    "competing": competing_table,
    "composition": composition_table,
    "power": power_text,
}
