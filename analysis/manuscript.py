"""Format results for a manuscript: the same tables of text for the page, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from analysis.definitions import label_of
from analysis.describe import MEASURES
from analysis.figures.style import MEASURE_LABEL
from analysis.further_tables import FURTHER
from analysis.survival import PER_SD
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
from analysis.trend import AGE_GROUPS

__all__ = ["manuscript_tables"]

_WHO = {"all": "All", "M": "Men", "F": "Women"}
_FIRTH = "†"
_FIRTH_NOTE = (
    " † Firth’s penalised likelihood, where events are separated or fewer than 5 per coefficient; "
    "its p is that of the penalised likelihood ratio."
)
_FEWEST_BY_AGE = 5  # of quartiles, as in the figure; one person's values are not for a table
_UNIT = {"leg_lean_kg": " kg", "almi": " kg/m²"}  # of the differences between MRI and DXA


def manuscript_tables(tables: Mapping[str, pd.DataFrame]) -> dict[str, TextTable]:
    """All printed tables of `analysis.run.Results`, by name. Empty ones are left out."""
    ratios = tables["associations"]
    makers: dict[str, Callable[[pd.DataFrame], TextTable]] = {
        "flow": _flow,
        "table1": _table_one,
        "concordance": _concordance,
        "decline": lambda table: _decline(table, main=True),
        "structures": lambda table: _decline(table, main=False),
        "age_groups": _age_groups,
        "trend": _trend,
        "associations": _associations,
        "sex_stratified": _sex_stratified,
        "survival": _survival,
        "per_sd": _per_sd,
        "sensitivity": lambda table: _sensitivity(table, ratios),
    } | FURTHER
    sources = {"structures": "decline"}
    made = {}
    for name, maker in makers.items():
        table = tables.get(sources.get(name, name))
        if table is not None and len(table):
            made[name] = maker(table)
    return {name: table for name, table in made.items() if table.rows}


def _once(rows: list[Row], keys: tuple[str, ...], label: Callable[[Row], str]) -> list[str]:
    """Show a label only if it differs from that of the row above."""
    same = [i > 0 and all(row[key] == rows[i - 1][key] for key in keys) for i, row in enumerate(rows)]
    return ["" if again else label(row) for row, again in zip(rows, same, strict=True)]


def _interval(row: Row) -> str:
    """Format an odds or hazard ratio with its interval."""
    value = row["hazard_ratio"] if "hazard_ratio" in row else row["odds_ratio"]
    if not np.isfinite(value):
        return "not estimable"
    mark = _FIRTH if row.get("method") == "firth" else ""
    return f"{format_ratio(value, row['ci_low'], row['ci_high'])}{mark}"


def _daggers(table: pd.DataFrame) -> str:
    return _FIRTH_NOTE if (table["method"] == "firth").any() else ""


def _of(row: Row, third: str) -> str:
    return f"{format_count(row[f'events_{third}'])} / {format_count(row[f'n_{third}'])}"


def _flow(table: pd.DataFrame) -> TextTable:
    rows = [
        (
            (row["reason"][0].upper() + row["reason"][1:]).replace("bmi", "BMI"),
            format_count(row["excluded"]) if row["step"] else "",
            format_count(row["remaining"]),
        )
        for row in records(table)
    ]
    return TextTable("Flow of participants", ("Step", "Excluded", "Remaining"), tuple(rows))


def _table_one(table: pd.DataFrame) -> TextTable:
    rows = []
    for row in records(table):
        decimals = MEASURES[row["variable"]][1] if row["variable"] in MEASURES else 0
        cells = [row["label"]]
        for who in ("all", "men", "women"):
            first, second, n = row[f"{who}_first"], row[f"{who}_second"], row[f"{who}_n"]
            if not n or not np.isfinite(first):
                cells.append("–")
            elif row["statistic"] == "n, percent":
                cells.append(f"{format_count(first)} ({second:.{2 if second < 10 else 1}f}%)")
            else:
                cells.append(format_mean(first, second, decimals))
        rows.append((*cells, format_number(row["standardised_difference"])))
    return TextTable(
        "Characteristics",
        ("", "All", "Men", "Women", "Standardised difference"),
        tuple(rows),
        "Mean ± SD, or number (per cent of known values). Standardised difference: men minus women, divided by the "
        "root mean square SD.",
    )


def _concordance(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    cells = [
        (
            label,
            _WHO[row["sex"]],
            format_count(row["n"]),
            f"{format_number(row['pearson'], 3)} ({format_interval(row['ci_low'], row['ci_high'], 3)})",
            format_number(row["spearman"], 3),
            format_number(row["lin_concordance"], 3),
            f"{format_number(row['bias'])} ({format_number(row['limit_low'])} to {format_number(row['limit_high'])})"
            + _UNIT.get(row["second"], ""),
        )
        for label, row in zip(_once(rows, ("comparison",), lambda row: row["comparison"]), rows, strict=True)
    ]
    return TextTable(
        "MRI and DXA",
        ("Comparison", "", "n", "Pearson r (95% CI)", "Spearman", "Lin’s CCC", "Bias (limits of agreement)"),
        tuple(cells),
        "Pearson’s interval by Fisher’s z. For Lin’s coefficient, bias and limits, muscle volume is converted to mass "
        "with 1.056 kg/L. DXA lean mass includes more than the muscles that MRI segments, so a bias is expected.",
        2,
        blocks(rows, "comparison"),
    )


def _decline(table: pd.DataFrame, main: bool) -> TextTable:
    rows = records(table[table["measure"].isin(list(MEASURE_LABEL)) == main])

    def label(row: Row) -> str:
        name = str(row["measure"])
        return MEASURE_LABEL.get(name, name.replace("_cm3", ", cm³").replace("_", " ").capitalize())

    cells = []
    for text, row in zip(_once(rows, ("measure",), label), rows, strict=True):
        decimals = 4 if row["mean"] < 1 else 2 if row["mean"] < 300 else 1
        slope, low, high = (format_number(row[key], decimals) for key in ("per_decade", "low", "high"))
        percent, ps = format_number(row["percent_per_decade"], 1), (row["p_value"], row["p_nonlinear"])
        cells.append((text, _WHO[row["sex"]], format_count(row["n"]), f"{slope} ({low} to {high})", percent,
                      *map(format_p, ps)))  # fmt: skip
    return TextTable(
        "Change per decade of age" if main else "Change per decade of every structure",
        ("Measure", "", "n", "Per decade (± 1.96 SE)", "Per cent of the mean", "p", "p of a curve"),
        tuple(cells),
        "Ten times the slope of a straight line on age. p: Student’s t, which a small group makes larger than 1.96 SE "
        "suggests. p of a curve: natural cubic spline with four knots against the line, F test.",
        2,
    )


def _age_groups(table: pd.DataFrame) -> TextTable:
    rows = []
    for (measure, sex), part in table.groupby(["measure", "sex"], sort=False):
        largest = part["median"].max()
        decimals = 3 if largest < 1 else 2 if largest < 300 else 0
        by_age = part.set_index("age_group")
        cells = []
        for group in AGE_GROUPS:
            if group not in by_age.index or (row := by_age.loc[group])["n"] < _FEWEST_BY_AGE:
                cells.append("–")
                continue
            quartiles = format_interval(row["quartile_low"], row["quartile_high"], decimals)
            cells.append(f"{format_number(row['median'], decimals)} ({quartiles})")
        rows.append({"measure": measure, "cells": (_WHO[str(sex)], *cells)})
    labels = _once(rows, ("measure",), lambda row: MEASURE_LABEL[row["measure"]])
    cells_of = tuple((label, *row["cells"]) for label, row in zip(labels, rows, strict=True))
    ages = (group.replace("-", "–") for group in AGE_GROUPS)
    return TextTable("Median (quartiles) by age", ("Measure", "", *ages), cells_of, "A dash: fewer than 5 people.", 2)


def _trend(table: pd.DataFrame) -> TextTable:
    ages = [group for group in AGE_GROUPS if (table["age_group"] == group).any()]
    rows = []
    for (outcome, sex), part in table.groupby(["outcome", "sex"], sort=False):
        by = {row["age_group"]: f"{row['percent']:.1f}% ({row['events']} / {row['n']})" for row in records(part)}
        first = part.iloc[0]
        cells = [_WHO[str(sex)], *(by.get(group, "–") for group in ages), format_number(first["chi_square"], 1)]
        cells += [format_p(first["p_trend"]), format_number(first["z_as_printed"], 2)]
        rows.append({"outcome": outcome, "cells": tuple(cells)})
    labels = _once(rows, ("outcome",), lambda row: label_of(row["outcome"]))
    return TextTable(
        "Prevalence by age",
        ("Outcome", "", *(group.replace("-", "–") for group in ages), "χ²", "p for trend", "Z as printed"),
        tuple((label, *row["cells"]) for label, row in zip(labels, rows, strict=True)),
        "Cochran and Armitage’s test over the age groups, variance over N as R’s prop.trend.test. Z as printed: the "
        "paper’s formula. It neither weights the groups by their size nor centres the scores, so it is not this test, "
        "and its p value would be wrong.",
        2,
        blocks(rows, "outcome"),
    )


def _pairs(table: pd.DataFrame, keys: list[str]) -> list[Row]:
    """Put the crude and adjusted models of the same question in one row."""
    rows = []
    for values, part in table.groupby(keys, sort=False):
        models = {row["model"]: row for row in records(part)}
        last = list(models.values())[-1]
        rows.append(dict(zip(keys, values, strict=True)) | {"models": models, "last": last})
    return rows


def _both(models: Mapping[str, Row]) -> list[str]:
    cells = []
    for model in ("crude", "adjusted"):
        cells += [_interval(models[model]), format_p(models[model]["p_value"])] if model in models else ["–", "–"]
    return cells


def _associations(table: pd.DataFrame) -> TextTable:
    rows = _pairs(table, ["exposure", "outcome"])
    labels = _once(rows, ("exposure",), lambda row: label_of(row["exposure"]))
    cells = []
    for label, row in zip(labels, rows, strict=True):
        last = row["last"]
        counts = [_of(last, "low"), _of(last, "high")]
        e_values = f"{format_number(last['e_value'])} ({format_number(last['e_value_ci'])})"
        cells.append((label, label_of(row["outcome"]), *counts, *_both(row["models"]),
                      format_p(last["p_likelihood_ratio"]), format_p(last["p_bh"]), e_values))  # fmt: skip
    return TextTable(
        "Associations: highest against lowest third",
        ("Exposure", "Outcome", "Events / n, lowest", "Events / n, highest", "Crude OR (95% CI)", "p",
         "Adjusted OR (95% CI)", "p", "p (LR)", "p (BH)", "E-value (of the CI)"),
        tuple(cells),
        "The middle third is left out. 95% profile-likelihood intervals; p is Wald’s, p (LR) the likelihood ratio "
        "test’s, p (BH) Benjamini and Hochberg’s over all odds ratios of the same model." + _daggers(table),
        2,
        blocks(rows, "exposure"),
        {i: row["last"]["note"] for i, row in enumerate(rows) if row["last"]["note"]},
    )  # fmt: skip


def _sex_stratified(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    exposures = _once(rows, ("exposure",), lambda row: label_of(row["exposure"]))
    outcomes = _once(rows, ("exposure", "outcome"), lambda row: label_of(row["outcome"]))
    tests = _once(rows, ("exposure", "outcome"), lambda row: format_p(row["p_interaction"]))
    cells = [
        (exposure, outcome, _WHO[row["sex"]], _of(row, "low"), _of(row, "high"), _interval(row),
         format_p(row["p_value"]), test)
        for exposure, outcome, test, row in zip(exposures, outcomes, tests, rows, strict=True)
    ]  # fmt: skip
    return TextTable(
        "Associations by sex",
        ("Exposure", "Outcome", "", "Events / n, lowest", "Events / n, highest", "OR (95% CI)", "p",
         "p of interaction"),
        tuple(cells),
        "Same adjustment except for sex; thirds of everyone. Interaction: likelihood ratio test of exposure by sex in "
        "the model of both sexes." + _daggers(table),
        3,
        blocks(rows, "exposure"),
        reasons(rows, "odds_ratio") | reasons(rows, "p_interaction"),
    )  # fmt: skip


def _survival(table: pd.DataFrame) -> TextTable:
    rows = _pairs(table, ["exposure", "contrast"])
    labels = _once(rows, ("exposure",), lambda row: label_of(row["exposure"]))
    cells, remarks = [], {}
    for i, (label, row) in enumerate(zip(labels, rows, strict=True)):
        last = row["last"]
        rates = [
            "–"
            if row["contrast"] == PER_SD
            else f"{format_count(last[f'deaths_{third}'])} ({format_number(last[f'rate_{third}'])})"
            for third in ("low", "high")
        ]
        people = f"{format_count(last['deaths'])} / {format_count(last['n'])}"
        contrast = row["contrast"] if row["contrast"] == PER_SD else "Highest third"
        cells.append((label, contrast[0].upper() + contrast[1:], people, *rates, *_both(row["models"]),
                      format_p(last["p_proportional"])))  # fmt: skip
        if notes := dict.fromkeys(note for one in row["models"].values() for note in one["note"].split("; ") if note):
            remarks[i] = "; ".join(notes)
    return TextTable(
        "Death from any cause, with its date",
        ("Exposure", "Contrast", "Deaths / n", "Lowest: deaths (rate)", "Highest: deaths (rate)",
         "Crude HR (95% CI)", "p", "Adjusted HR (95% CI)", "p", "p of proportionality"),
        tuple(cells),
        "Cox’s model, Efron’s ties, Wald’s intervals and p; time since imaging. Rates in 1000 person-years. The SD is "
        "that of everybody analysed who has the exposure, as in the table of odds ratios per SD. p of "
        "proportionality: does the adjusted ratio change with time (score test on Schoenfeld’s residuals)?",
        2,
        blocks(rows, "exposure"),
        remarks,
    )  # fmt: skip


def _per_sd(table: pd.DataFrame) -> TextTable:
    rows = records(table)
    labels = _once(rows, ("exposure",), lambda row: label_of(row["exposure"]))
    cells = [
        (label, label_of(row["outcome"]), f"{format_count(row['events'])} / {format_count(row['n'])}",
         format_number(row["sd"], 3), _interval(row), format_p(row["p_value"]), format_p(row["p_nonlinear"]))
        for label, row in zip(labels, rows, strict=True)
    ]  # fmt: skip
    return TextTable(
        "Per standard deviation, everyone",
        ("Exposure", "Outcome", "Events / n", "SD", "OR per SD (95% CI)", "p", "p of a curve"),
        tuple(cells),
        "Same adjustment. SD: of everybody analysed who has the exposure, whatever the outcome. p of a curve: "
        "restricted cubic spline with four knots against the line, likelihood ratio test." + _daggers(table),
        2,
        blocks(rows, "exposure"),
        reasons(rows, "odds_ratio"),
    )


def _sensitivity(table: pd.DataFrame, main: pd.DataFrame) -> TextTable:
    rows = records(table)
    exposures = _once(rows, ("exposure",), lambda row: label_of(row["exposure"]))
    analyses = _once(rows, ("exposure", "analysis"), lambda row: row["analysis"][0].upper() + row["analysis"][1:])
    beside = {(row["exposure"], row["outcome"], row["model"]): _interval(row) for row in records(main)}
    cells = [
        (exposure, analysis, label_of(row["outcome"]), _of(row, "low"), _of(row, "high"), _interval(row),
         format_p(row["p_value"]), beside.get((row["exposure"], row["outcome"], row["model"]), "–"))
        for exposure, analysis, row in zip(exposures, analyses, rows, strict=True)
    ]  # fmt: skip
    return TextTable(
        "Sensitivity analyses",
        ("Exposure", "Analysis", "Outcome", "Events / n, lowest", "Events / n, highest", "OR (95% CI)", "p",
         "Main analysis"),
        tuple(cells),
        "Main analysis: complete cases, exact thirds. Everyone: all who are old enough and have complete MRI, "
        "exposure and outcome; a missing covariate is marked by an indicator." + _daggers(pd.concat([table, main])),
        3,
        blocks(rows, "exposure"),
        reasons(rows, "odds_ratio"),
    )  # fmt: skip
