"""Write the results: tables, figures, one self-contained page, and provenance."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Undefined

from analysis.definitions import label_of
from analysis.figures import box_by_age, concordance_figure, decline_by_age, flow_figure, forest, save
from analysis.figures.further import bland_altman, calibration_figure, odds_ratio_figure, survival_by_thirds
from analysis.figures.incidence import incidence_figure
from analysis.figures.muscles import muscle_forest, volcano
from analysis.figures.percentiles import percentile_figure
from analysis.figures.power import power_figure
from analysis.further_tables import FURTHER
from analysis.manuscript import manuscript_tables
from analysis.options import Options
from analysis.page_templates import page_environment
from analysis.run import Results
from analysis.supplement import make_supplement
from analysis.supplement_files import has_word, supplement_html, supplement_latex, write_word
from analysis.tables import write_table, write_text
from analysis.text_tables import (
    TextTable,
    format_count,
    format_number,
    format_p,
    format_ratio,
    in_words,
    to_latex,
    to_markdown,
)
from analysis.threads import one_blas_thread
from analysis.verdicts import verdicts

__all__ = ["write_results"]


@one_blas_thread
def write_results(
    options: Options,
    results: Results,
    made_from: Mapping[str, Any],
    progress: Callable[[str], None] = lambda label: None,
) -> Path:
    """Write all results into the folder ``options.out``; returns the path of the page.

    Parameters
    ----------
    options : Options
        The folder is created if missing. Files of the same names are replaced.
    results : Results
    made_from : mapping
        Result of `analysis.provenance.provenance`.
    progress : callable
        Called with the name of what is being written.
    """
    out = options.out
    for name, table in results.tables.items():
        write_table(table, out / "tables" / f"{name}.csv")
    printed = manuscript_tables(results.tables)
    for name, text in printed.items():
        write_text(to_markdown(text.header, text.rows, text.texts, text.caption), out / "tables" / f"{name}.md")
        write_text(to_latex(text.header, text.rows, text.texts, text.caption), out / "tables" / f"{name}.tex")
    progress("supplement")
    _write_supplement(results, options, printed)
    cohort, folder = results.cohort, out / "figures"
    makers: dict[str, Callable[[], Any]] = {
        "flow": lambda: flow_figure(cohort.flow),
        "concordance": lambda: concordance_figure(cohort.analysed),
        "box_by_age": lambda: box_by_age(cohort.all_ages, cohort.cut_offs),
        "decline": lambda: decline_by_age(cohort.analysed),
        "forest": lambda: forest(results.tables["associations"]),
    }
    tables = results.tables
    if "percentiles" in tables:  # the further analyses
        makers |= {
            "bland_altman": lambda: bland_altman(cohort.analysed),
            "curves": lambda: odds_ratio_figure(tables["curves"]),
            "percentiles": lambda: percentile_figure(tables["percentiles"]),
            "height_percentiles": lambda: percentile_figure(tables["height_percentiles"], "height_cm"),
            "muscle_forest": lambda: muscle_forest(tables["muscles"]),
            "volcano": lambda: volcano(tables["muscles"]),
        }
        if results.followed.given:
            own_cuts = (options.fixed_cuts or {}).get("pa_ratio")
            makers["survival"] = lambda: survival_by_thirds(cohort.analysed, results.followed, cuts=own_cuts)
        if "power_curves" in tables:
            makers["power"] = lambda: power_figure(tables["power_curves"], len(cohort.analysed))
        if "incidence" in tables:
            makers["incidence"] = lambda: incidence_figure(tables["incidence"])
        if len(tables["calibration"]):
            makers["calibration"] = lambda: calibration_figure(tables["calibration"], tables["decision_curve"])
        if not tables["muscles"]["odds_ratio"].notna().any():
            del makers["muscle_forest"], makers["volcano"]
        makers = {name: maker for name, maker in makers.items() if len(tables.get(name, "_"))}
    figures: dict[str, dict[str, Any]] = {}
    for name, maker in makers.items():
        progress(f"figure {name}")
        png, _ = save(maker(), folder, name, "Synthetic data" if cohort.synthetic else "")
        figures[name] = _picture(png.read_bytes())
    progress("page")
    write_text(json.dumps(made_from, indent=2, ensure_ascii=False) + "\n", out / "provenance.json")
    write_text(yaml.safe_dump(made_from["options"], sort_keys=False), out / "options.yaml")
    page = out / "report.html"
    write_text(_render(results, made_from, figures, printed), page)
    return page


def _write_supplement(results: Results, options: Options, printed: Mapping[str, TextTable]) -> None:
    """Methods and checklist as Markdown; both with every table as Word, HTML and LaTeX."""
    made, out = make_supplement(results, options, printed), options.out
    strobe = made.tables[-1]
    write_text(made.methods_markdown, out / "methods.md")
    write_text(f"## {strobe.title}\n\n" + to_markdown(strobe.header, strobe.rows, strobe.texts), out / "strobe.md")
    write_text(supplement_html(made), out / "supplement.html")
    write_text(supplement_latex(made), out / "supplement.tex")
    if has_word():
        write_word(made, out / "supplement.docx")


def _render(
    results: Results, made_from: Mapping[str, Any], figures: Mapping[str, Any], printed: Mapping[str, TextTable]
) -> str:
    environment = page_environment(Undefined)
    environment.filters |= {"count": format_count}
    cohort = results.cohort
    return environment.get_template("cohort_page.html.j2").render(
        cohort=cohort,
        n=len(cohort.analysed),
        followed=results.followed,
        brief=_brief(results),
        verdicts=verdicts(results.tables["markers"]) if "markers" in results.tables else [],
        figures=figures,
        made_from=made_from,
        tables=printed,
        notes=results.tables["notes"].to_dict("records"),
        left_out=_left_out(results.tables, printed),
        adjusted_for=in_words(made_from["options"]["adjust"]).replace("bmi", "BMI") or "nothing",
    )


def _left_out(tables: Mapping[str, pd.DataFrame], printed: Mapping[str, TextTable]) -> list[str]:
    """Analyses that were asked for and have nothing to show, in words."""
    empty = [name for name, table in tables.items() if name != "notes" and not len(table)]
    return [name.replace("_", " ") for name in dict.fromkeys([*empty, *(n for n in FURTHER if n in tables)])
            if name not in printed]  # fmt: skip


def _picture(png: bytes) -> dict[str, Any]:
    """A PNG for the page, and the width at which its text has the size of the page's."""
    width = int.from_bytes(png[16:20], "big")  # PNG, section 11.2.2: the header's first number
    return {"source": "data:image/png;base64," + base64.b64encode(png).decode("ascii"), "width_px": width // 2}


def _brief(results: Results) -> list[tuple[str, str]]:
    """The main results: numbers with their meaning."""
    tables, cohort = results.tables, results.cohort
    men = int((cohort.analysed["sex"] == "M").sum())
    confirmed = cohort.analysed["sarcopenia"]
    found = [(format_count(len(cohort.analysed)), f"participants, {format_count(men)} of them men"),
             (f"{100 * confirmed.mean():.2f}%", f"confirmed sarcopenia ({format_count(confirmed.sum())})")]  # fmt: skip
    pooled = tables["concordance"].query("sex == 'all'")
    for row in pooled[pooled["second"] == "leg_lean_kg"].to_dict("records"):
        found.append((f"r = {format_number(row['pearson'], 3)}", "muscle volume with DXA leg lean mass"))
    slopes = tables["decline"].query("measure == 'tmv_cm3'").set_index("sex")["percent_per_decade"]
    text = ", ".join(f"{format_number(slopes[sex], 1)}% {who}" for sex, who in (("M", "men"), ("F", "women"))
                     if sex in slopes.index)  # fmt: skip
    found.append((text, "muscle volume per decade of age"))
    found += _strongest(tables["associations"])
    return found


def _strongest(ratios: pd.DataFrame) -> list[tuple[str, str]]:
    """The odds ratio with the smallest p value in the fullest model, if it is significant after correction."""
    model = "adjusted" if (ratios["model"] == "adjusted").any() else "crude"
    holding = ratios[(ratios["model"] == model) & (ratios["p_bh"] < 0.05)].sort_values("p_value")
    if holding.empty:
        return [("none", f"of {int((ratios['model'] == model).sum())} {model} odds ratios below p (BH) = 0.05")]
    row = holding.iloc[0]
    ratio, _, interval = format_ratio(row["odds_ratio"], row["ci_low"], row["ci_high"]).partition(" (")
    what = f"{label_of(row['outcome']).lower()}, {label_of(row['exposure'])}, highest against lowest third"
    smallest = f"p {format_p(row['p_value'])}, the smallest of {int((ratios['model'] == model).sum())}"
    return [(f"OR {ratio}", f"{what} (95% CI {interval[:-1]}; {smallest})")]
