"""Texts for a manuscript, filled from the run: methods, STROBE's checklist, and all tables as one page for Word."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from analysis.definitions import label_of
from analysis.options import Options
from analysis.run import Results
from analysis.text_tables import TextTable, format_count

__all__ = ["methods_text", "strobe_checklist", "tables_page"]

_NOT_KNOWN = "for you to write: the tables do not tell"


def methods_text(results: Results, options: Options) -> str:
    """Describe what was computed, in Markdown."""
    cohort = results.cohort
    cuts, n = cohort.cut_offs, len(cohort.analysed)
    adjusted = ", ".join(label_of(name) for name in options.adjust) or "nothing"
    thirds = "fixed cuts" if options.fixed_cuts else "exact thirds"
    parts = [
        "## Methods",
        f"**Participants.** Of {format_count(cohort.flow['remaining'].iloc[0])} people in the table, "
        f"{format_count(n)} were "
        f"analysed; {_exclusions(results)}. Participants were at least {options.min_age:g} years old at imaging.",
        "**Measures.** Total muscle volume was the sum of the segmented muscles, and the P/A ratio hamstrings over "
        "quadriceps. Appendicular lean mass was that of both arms and legs by DXA, ALMI its ratio to squared "
        "height, and "
        "grip the best of both hands.",
        f"**Sarcopenia.** Low strength was grip below {cuts.grip_men_kg:g} kg (men) or {cuts.grip_women_kg:g} "
        "kg (women), "
        f"low mass ALMI below {cuts.almi_men:g} or {cuts.almi_women:g} kg/m² ({cuts.name}: {cuts.source}). "
        "Both together "
        "were confirmed sarcopenia.",
        f"**Associations.** Exposures ({', '.join(map(label_of, options.exposures))}) were cut at {thirds}; "
        "the highest "
        f"was compared with the lowest by logistic regression, crude and adjusted for {adjusted}. Intervals are 95% "
        "profile-likelihood intervals, p values Wald’s; Firth’s penalised likelihood was used for separated "
        "events and "
        "fewer than five events per coefficient. p values over all odds ratios of a model were adjusted by "
        "Benjamini and "
        "Hochberg’s method.",
    ]
    if results.followed.given:
        parts.append(
            f"**Death.** Deaths after imaging were followed until {results.followed.end}. Cox’s model used "
            "Efron’s ties and "
            "the score test of proportional hazards."
        )
    if options.full:
        parts.append(
            "**Markers.** Markers were added to the covariates one at a time, per SD, and compared by AUC with "
            "optimism "
            f"removed by {options.bootstraps} bootstraps, likelihood ratio test, Brier score and decision curves. "
            "Missing "
            "covariates were imputed ten times by chained equations and pooled by Rubin’s rules. Reference "
            "percentiles are "
            "by the LMS method. Mediation was by linear models and is cross-sectional."
        )
    parts.append("**Software.** SarcoMAP analysis; versions, inputs and options are in provenance.json.")
    return "\n\n".join(parts) + "\n"


def strobe_checklist(results: Results, options: Options) -> TextTable:
    """The items of STROBE for a cohort study (von Elm et al., Lancet 2007;370:1453-1457), in our words."""
    notes = results.tables["notes"]
    outcome = "; ".join(
        f"{label_of(name)} {format_count(results.cohort.analysed[name].sum())}" for name in options.outcomes
    )
    followed = f"age {options.min_age:g} or more; followed until {results.followed.end or '–'}"
    rows = [
        ("1-3", "Title, abstract, background, objectives", _NOT_KNOWN),
        ("4-5", "Design, setting, dates", _NOT_KNOWN),
        ("6", "Eligibility and follow-up", followed),
        ("7", "Outcomes, exposures, confounders defined", "methods.md; report.html, Definitions and methods"),
        ("8", "Sources of the data", "provenance.json: which column became what"),
        ("9", "Bias", f"{len(notes)} kinds of changed values (tables/notes.csv); sensitivity analyses"),
        ("10", "Study size", f"{format_count(len(results.cohort.analysed))} analysed; no size was planned"),
        ("11", "Quantitative variables", "thirds, per SD, and restricted cubic splines"),
        ("12", "Statistical methods, missing data, sensitivity", "methods.md"),
        ("13", "Participants at each stage", _exclusions(results)),
        ("14", "Characteristics, missing data, follow-up", "tables/table1; tables/by_group; tables/survival"),
        ("15", "Events of each outcome", outcome),
        ("16", "Crude and adjusted estimates", "tables/associations; adjusted for " + ", ".join(options.adjust)),
        ("17", "Other analyses", "tables/sex_stratified, per_sd, sensitivity, markers, muscles, imputed"),
        ("18-21", "Key results, limitations, interpretation, generalisability", _NOT_KNOWN),
        ("22", "Funding", _NOT_KNOWN),
    ]
    return TextTable("STROBE checklist", ("Item", "About", "In this analysis"), tuple(rows), texts=3)


def tables_page(tables: Mapping[str, TextTable]) -> str:
    """All tables as one plain HTML page, which word processors open with the tables as tables."""
    parts = ["<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Supplementary tables</title>",
             "<style>table{border-collapse:collapse;font:10pt serif}th{border-bottom:1px solid;text-align:left}",
             "td,th{padding:2pt 6pt}</style></head><body>"]  # fmt: skip
    for number, table in enumerate(tables.values(), 1):
        head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
        parts.append(f"<h2>Supplementary table {number}. {escape(table.title)}</h2>")
        parts.append(
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(table.caption)}</p>"
        )
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _exclusions(results: Results) -> str:
    left = [
        f"{format_count(row['excluded'])} {row['reason']}"
        for row in results.cohort.flow.iloc[1:].to_dict("records")
        if row["excluded"]
    ]
    return "excluded in this order: " + "; ".join(left) if left else "nobody was excluded"
