"""STROBE's checklist, filled from a run as far as the tables know."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.definitions import label_of
from analysis.options import Options
from analysis.run import Results
from analysis.text_tables import TextTable, format_count, format_p, format_ratio, in_words

__all__ = ["exclusions_in_words", "main_result", "strobe_checklist"]

_YOURS = "for you to write"


def strobe_checklist(results: Results, options: Options) -> TextTable:
    """The 22 items of STROBE for a cohort study (von Elm et al., Lancet 2007;370:1453-1457), in our words."""
    cohort, tables = results.cohort, results.tables
    n, ended = format_count(len(cohort.analysed)), results.followed.end
    adjusted = in_words([label_of(name) for name in options.adjust]) or "nothing"
    exposures = ", ".join(map(label_of, options.exposures))
    outcomes = ", ".join(map(label_of, options.outcomes))
    person_years = float(np.nansum(results.followed.years))
    further = [name for name in _OTHER_ANALYSES if name in tables and len(tables[name])]
    shown = [name for name in ("associations", "survival", "per_sd", "markers") if name in tables]
    rows = (
        ("1a", "Design in the title or abstract", _YOURS),
        ("1b", "Informative abstract", f"{_YOURS}; main results: report.html, first lines"),
        ("2", "Background and reasons", _YOURS),
        ("3", "Objectives and hypotheses", _YOURS),
        ("4", "Design", f"imaging and DXA at one visit; {'deaths followed' if results.followed.given else 'no dates'}"),
        ("5", "Setting, places, dates", f"{_dates(results)}; the rest is {_YOURS}"),
        ("6a", "Eligibility, sources, follow-up", f"age {options.min_age:g} or more at imaging, complete MRI and DXA; "
         f"followed until {ended or '–'}"),
        ("6b", "Matching", "none"),
        ("7", "Outcomes, exposures, confounders", f"outcomes: {outcomes}; exposures: {exposures}; confounders: "
         f"{adjusted}; definitions in the methods"),
        ("8", "Sources of data and measurement", "methods; which column became what: provenance.json"),
        ("9", "Bias", f"{len(tables['notes'])} kinds of changed values (tables/notes.csv); associations in everyone, "
         "with missing covariates marked" if "sensitivity" in tables else "tables/notes.csv"),
        ("10", "Study size", f"all {n} who met the criteria; no size was planned"),
        ("11", "Quantitative variables", "exposures in thirds"
         + ("; per SD; restricted cubic splines against the line" if "per_sd" in tables else "")),
        ("12a", "Statistical methods, confounding", f"methods; crude, and adjusted for {adjusted}"),
        ("12b", "Subgroups and interactions", "by sex, with the likelihood ratio test of interaction"),
        ("12c", "Missing data", "complete cases" + ("; marked" if "sensitivity" in tables else "")
         + ("; imputed ten times" if "imputed" in tables else "")),
        ("12d", "Loss to follow-up", "censored at each person’s own date, where it is known"
         if "survival" in tables and results.followed.given else "no survival analysis in this run"),
        ("12e", "Sensitivity analyses", ", ".join(n for n in ("sensitivity", "imputed", "undiluted") if n in tables)
         or "none in this run"),
        ("13a", "Numbers at each stage", f"{format_count(cohort.flow['remaining'].iloc[0])} in the table; {n} left"),
        ("13b", "Reasons for exclusion", exclusions_in_words(results)),
        ("13c", "Flow diagram", "figures/flow"),
        ("14a", "Characteristics", "tables/table1"),
        ("14b", "Missing data of each variable", "tables/by_group" if "by_group" in tables else "run with --full"),
        ("14c", "Follow-up", f"{format_count(person_years)} person-years" if results.followed.given else "no dates"),
        ("15", "Events", _events(results, options)),
        ("16a", "Crude and adjusted estimates", f"tables/{', '.join(shown)}"),
        ("16b", "Boundaries of categories", _cuts(results)),
        ("16c", "Absolute risks", "events and people of both thirds in every table; rates in tables/survival"
         if "survival" in tables else "events and people of both thirds in every table"),
        ("17", "Other analyses", ", ".join(further) or "none in this run"),
        ("18", "Key results", main_result(results)),
        ("19", "Limitations", "falls and strength are of the day of imaging, so their direction is unknown; E-values: "
         f"tables/associations; the rest is {_YOURS}"),
        ("20", "Interpretation", _YOURS),
        ("21", "Generalisability", _YOURS),
        ("22", "Funding", _YOURS),
    )  # fmt: skip
    return TextTable("STROBE checklist", ("Item", "About", "In this analysis"), rows, texts=3)


_OTHER_ANALYSES = ("sex_stratified", "interactions", "markers", "muscles", "muscle_selection", "mediation", "quality",
                   "repeats", "reference")  # fmt: skip


def exclusions_in_words(results: Results) -> str:
    """Who was left out and why, in order."""
    left = [
        f"{format_count(row['excluded'])} {row['reason']}"
        for row in results.cohort.flow.iloc[1:].to_dict("records")
        if row["excluded"]
    ]
    return "excluded in this order: " + "; ".join(left) if left else "nobody was excluded"


def main_result(results: Results) -> str:
    """The first exposure's odds ratios in the fullest model, with events and people, as one sentence."""
    table = results.tables["associations"]
    first = table[table["exposure"] == table["exposure"].iloc[0]]
    model = "adjusted" if (first["model"] == "adjusted").any() else "crude"
    parts = [_ratio(row) for row in first[first["model"] == model].to_dict("records")]
    return f"{label_of(first['exposure'].iloc[0])}, highest against lowest third, {model}: " + "; ".join(parts)


def _ratio(row: dict[Any, Any]) -> str:
    events = " against ".join(
        f"{format_count(row[f'events_{third}'])}/{format_count(row[f'n_{third}'])}" for third in ("high", "low")
    )
    name = label_of(row["outcome"]).lower()
    if not np.isfinite(row["odds_ratio"]):
        return f"{name} not estimable ({events})"
    ratio = format_ratio(row["odds_ratio"], row["ci_low"], row["ci_high"]).removesuffix(")")
    return f"{name} OR {ratio}; p {format_p(row['p_value'])}; {events})"


def _dates(results: Results) -> str:
    imaged = results.cohort.analysed["imaging_date"].dropna()
    return f"imaged {imaged.min():%Y-%m-%d} to {imaged.max():%Y-%m-%d}" if len(imaged) else "no dates of imaging"


def _events(results: Results, options: Options) -> str:
    parts = []
    for name in options.outcomes:
        known = results.cohort.analysed[name].dropna()
        parts.append(f"{label_of(name)} {format_count(known.sum())} of {format_count(len(known))}")
    return "; ".join(parts)


def _cuts(results: Results) -> str:
    table = results.tables["associations"].drop_duplicates("exposure")
    parts = [
        f"{label_of(row['exposure'])} {row['low_cut']:.4g} and {row['high_cut']:.4g}"
        for row in table.to_dict("records")
    ]
    return "; ".join(parts)
