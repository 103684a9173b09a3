"""``python -m analysis``: run the epidemiology, collect reports, audit a published table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from analysis.collect import collect_reports
from analysis.definitions import CUT_OFFS
from analysis.errors import AnalysisError, UsageError
from analysis.provenance import provenance
from analysis.published_table import audit_file
from analysis.report import write_results
from analysis.run import analyse, load_cohort, read_options
from analysis.tables import write_table

_RUN = """\
Every table and figure of the study from two tables: phenotypes (from MRI) and
participants (everything else, in plain columns or UK Biobank's). Both are
joined by eid. CSV, TSV and Parquet are read.
"""
_RUN_EXAMPLES = """\
examples:
  python -m analysis run --phenotypes phenotypes.csv --participants participants.csv --out results
  python -m analysis run --phenotypes p.parquet --participants ukb.csv --out results --adjust age,sex
  python -m analysis run --phenotypes p.csv --participants q.csv --out results --cut-offs AWGS2019
  python -m analysis run --config results/options.yaml --out again

output:
  OUT/report.html                         start here; one page, opens offline
  OUT/tables/{flow,table1,concordance,decline,trend,age_groups,associations,sex_stratified,
              survival,per_sd,sensitivity,notes}.csv
  OUT/figures/*.{png,svg}
  OUT/provenance.json, OUT/options.yaml   what it was made from, and how to repeat it
"""
_COLLECT_EXAMPLES = """\
example:
  python -m analysis collect studies --out phenotypes.parquet
"""
_AUDIT = """\
Recompute a published table of odds ratios from its own counts: which odds
ratios are the crude ones, which intervals are Wald's and which profile
likelihood ones, which p values do not match.

TABLE.csv has the columns outcome, n_low, n_high, events_low, events_high,
odds_ratio, ci_low, ci_high and, if printed, p_value.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except AnalysisError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Cohort epidemiology of sarcopenia.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    raw = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser(
        "run", help="the whole analysis", description=_RUN, epilog=_RUN_EXAMPLES, formatter_class=raw
    )
    run.set_defaults(run=_run)
    run.add_argument("--phenotypes", metavar="FILE", help="one row per MRI study: eid, tmv_cm3, pa_ratio, ...")
    run.add_argument("--participants", metavar="FILE", help="one row per person: eid, sex, age, grip_left_kg, ...")
    run.add_argument("--out", metavar="DIR", help="folder to write into; made if absent")
    run.add_argument("--adjust", metavar="NAMES", help="covariates, or none (default: age,sex,bmi,activity)")
    run.add_argument("--min-age", type=float, metavar="Y", help="youngest age at imaging (default: 50)")
    run.add_argument("--cut-offs", metavar="NAME", help=f"{' or '.join(CUT_OFFS)}, or a YAML file (default: EWGSOP2)")
    run.add_argument("--fields", metavar="FILE", help="your map of columns; like analysis/fields.yaml")
    run.add_argument(
        "--fixed-cuts",
        metavar="NAME=LOW,HIGH",
        action="append",
        default=[],
        help="fixed cuts of an exposure in place of its tertiles, e.g. pa_ratio=0.41,0.48; repeatable",
    )
    run.add_argument(
        "--censor-date",
        metavar="YYYY-MM-DD",
        help="last day on which deaths are known, for Cox's model (default: that of the latest death)",
    )
    run.add_argument("--config", type=Path, metavar="FILE", help="options as YAML; the command line wins")
    run.add_argument("--quiet", action="store_true", help="no progress")
    collect = commands.add_parser(
        "collect",
        help="reports to one table of phenotypes",
        description="Read every report.json below a folder into one table; eid is the report's pseudonym.",
        epilog=_COLLECT_EXAMPLES,
        formatter_class=raw,
    )
    collect.set_defaults(run=_collect)
    collect.add_argument("reports", type=Path, metavar="REPORTS_DIR")
    collect.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet, .csv or .tsv")
    audit = commands.add_parser("audit", help="check a published table", description=_AUDIT, formatter_class=raw)
    audit.set_defaults(run=_audit)
    audit.add_argument("table", type=Path, metavar="TABLE.csv", help="or `example`: the P/A rows of Kim et al. 2026")
    audit.add_argument("--out", type=Path, metavar="FILE", help="write the findings as a table, too")
    return parser


def _run(options: argparse.Namespace) -> int:
    chosen = read_options(_merged(options), "command line")
    bar = tqdm(desc="reading", disable=options.quiet or not sys.stderr.isatty(), unit="step")
    with bar:
        cohort = load_cohort(chosen)
        made_from = provenance(chosen, len(cohort.analysed))

        def progress(label: str) -> None:
            bar.set_description(label)
            bar.update()

        results = analyse(cohort, chosen.adjust, chosen.fixed_cuts, progress, chosen.censor_date)
        page = write_results(chosen.out, results, made_from, progress)
    for warning in cohort.warnings:
        print(f"note: {warning}")
    print(f"{len(cohort.analysed)} participants analysed; start with {page}")
    return 0


def _merged(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration file with the command line on top."""
    plain: dict[str, Any] = {}
    if options.config is not None:
        try:
            loaded = yaml.safe_load(options.config.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(options.config.name, f"not readable ({error})", "options in YAML", "Check it.") from None
        if not isinstance(loaded, dict):
            raise UsageError(options.config.name, "no map of options", "option: value", "See --help.")
        plain = loaded
    for name in ("phenotypes", "participants", "out", "min_age", "cut_offs", "fields", "censor_date"):
        if getattr(options, name) is not None:
            plain[name] = getattr(options, name)
    if options.adjust is not None:
        names = [name.strip() for name in options.adjust.split(",") if name.strip()]
        plain["adjust"] = [] if names == ["none"] else names
    if options.fixed_cuts:
        plain["fixed_cuts"] = dict(_cuts(text) for text in options.fixed_cuts)
    return plain


def _cuts(text: str) -> tuple[str, list[float]]:
    name, _, numbers = text.partition("=")
    try:
        low, high = (float(number) for number in numbers.split(","))
    except ValueError:
        raise UsageError("--fixed-cuts", text, "NAME=LOW,HIGH", "For example pa_ratio=0.41,0.48.") from None
    return name, [low, high]


def _collect(options: argparse.Namespace) -> int:
    with tqdm(unit="report", disable=not sys.stderr.isatty()) as bar:
        collected = collect_reports(options.reports, lambda done, total: bar.update(done - bar.n) and None)
    write_table(collected.table, options.out)
    for where, reason in collected.left_out:
        print(f"left out: {where}: {reason}", file=sys.stderr)
    print(f"{len(collected.table)} studies in {options.out}; {len(collected.left_out)} reports left out")
    return 0


def _audit(options: argparse.Namespace) -> int:
    audited = audit_file(options.table)
    print(audited.text)
    if options.out is not None:
        write_table(audited.summary, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
