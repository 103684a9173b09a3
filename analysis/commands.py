"""The commands of the analysis: ``run``, ``collect`` and ``audit``; `analysis.power_command` has ``power``.

They import what they need when they run, so that help and wrong paths do not wait for pandas.
"""

from __future__ import annotations

import difflib
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter, Token

from analysis.command_line import EXIT_CODES, new_app
from analysis.errors import DataError, UsageError
from analysis.files import check_output, check_table
from analysis.options import Options, as_text

__all__ = ["collect_command", "command", "commands"]

_RUN = """\
Make every table and figure of the study from two tables.

One table holds phenotypes (from MRI), the other all other data of the participants, in plain columns or those of \
UK Biobank. The tables are joined by eid. They can be CSV, TSV or Parquet."""
_RUN_EXAMPLES = f"""\
Output:
  DIR/report.html              start here; one page, opens offline
  DIR/tables/*.csv             flow, table1, concordance, decline, trend,
                               age_groups, associations, sex_stratified,
                               survival, per_sd, sensitivity, markers, notes
  DIR/figures/*.{{png,svg}}
  DIR/supplement.*             methods, every table and STROBE's checklist
                               as Word (docx), HTML and LaTeX (tex)
  DIR/provenance.json          software, inputs and options
  DIR/options.yaml             options, to repeat the run with --config

{EXIT_CODES}

Examples:
  sarcomap analysis run --phenotypes mri.csv --participants ukb.csv --out o
  sarcomap analysis run ... --adjust age,sex --cut-offs AWGS2019 --min-age 60
  sarcomap analysis run ... --adjust age,sex,bmi,activity,tmv_cm3 --full
  sarcomap analysis run --config results/options.yaml --out again"""
_COLLECT = """\
Collect reports into one table.

Every report.json below a folder becomes a row: eid and visit, phenotypes, source of the labels, model and flags."""
_COLLECT_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap analysis collect out --out phenotypes.parquet
  sarcomap cohort collect cohort --out phenotypes.parquet"""
_AUDIT = """\
Check a published table of odds ratios against its own counts.

Shows which odds ratios are crude, which intervals are Wald or profile likelihood intervals, and which p values do \
not match.

The table has the columns outcome, n_low, n_high, events_low, events_high, odds_ratio, ci_low, ci_high and, if \
printed, p_value."""

_SWITCH = Parameter(negative="", show_default=False)

_run_command = new_app("run", _RUN, _RUN_EXAMPLES)
collect_command = new_app("collect", _COLLECT, _COLLECT_EXAMPLES)
_audit_command = new_app("audit", _AUDIT, EXIT_CODES)


def commands(name: str) -> App:
    """The commands, under the name that they are started with."""
    app = new_app(name, "Cohort epidemiology of sarcopenia, on tables.", EXIT_CODES)
    from analysis.power_command import command as power_command

    for one in (_run_command, collect_command, _audit_command, power_command):
        app.command(one)
    return app


command = commands("analysis")


@_run_command.default
def _run(
    *,
    options: Annotated[Options, Parameter(name="*")],
    config: Annotated[
        Path | None, Parameter(metavar="FILE", help="Options as YAML. Options of the command line override it.")
    ] = None,
    quiet: Annotated[bool, _SWITCH, Parameter(help="Show no progress.")] = False,
) -> None:
    if str(options.phenotypes) != "amra":
        check_table(options.phenotypes)
    check_table(options.participants)
    for flag, path, what in (
        ("--fields", options.fields, "a YAML field map"),
        ("--withdrawn", options.withdrawn, "identifiers, one a line"),
        ("--exclude", options.exclude, "a list of studies"),
    ):
        if path is not None and not path.is_file():
            raise UsageError(path.name, "no such file", what, f"Check {flag}.")
    check_output(options.out)

    from tqdm import tqdm

    with tqdm(desc="reading", disable=quiet or not sys.stderr.isatty(), unit="step") as bar:
        from analysis.provenance import provenance
        from analysis.report import write_results
        from analysis.run import analyse, load_cohort
        from analysis.workload import said_of_time

        cohort = load_cohort(options)
        made_from = provenance(options, cohort)
        if said := said_of_time(cohort, options):
            print(f"note: {said}", file=sys.stderr, flush=True)

        def progress(label: str) -> None:
            bar.set_description(label)
            bar.update()

        results = analyse(cohort, options, progress)
        page = write_results(options, results, made_from, progress)
    for warning in cohort.warnings:
        print(f"note: {warning}")
    print(f"{len(cohort.analysed)} participants analysed; start with {page}")


@collect_command.default
def _collect(
    reports: Annotated[Path, Parameter(name="REPORTS_DIR", help="Folder with the output folders of studies.")],
    /,
    *,
    out: Annotated[Path, Parameter(metavar="FILE", help="Table to write: .parquet, .csv or .tsv.")],
) -> None:
    if not reports.is_dir():
        raise DataError(reports.name, "no such folder", "the output of `sarcomap run`", "Check the path.")
    check_output(out, table=True)

    from tqdm import tqdm

    with tqdm(unit="report", disable=not sys.stderr.isatty()) as bar:
        from analysis.collect import collect_reports

        collected = collect_reports(reports, lambda done, total: bar.update(done - bar.n) and None)
    collected.write(out)
    for where, reason in collected.left_out:
        print(f"left out: {where}: {reason}", file=sys.stderr)
    print(f"{len(collected.table)} studies in {out}; {len(collected.left_out)} reports left out")


@_audit_command.default
def _audit(
    table: Annotated[
        Path,
        Parameter(name="TABLE", help="A CSV, or the word `example` for the shipped P/A rows of Kim et al. 2026."),
    ],
    /,
    *,
    out: Annotated[Path | None, Parameter(metavar="FILE", help="Also write the findings as a table.")] = None,
) -> None:
    if str(table) != "example":
        check_table(table)
    if out is not None:
        check_output(out, table=True)

    from analysis.published_table import audit_file
    from analysis.tables import write_table

    audited = audit_file(table)
    print(audited.text)
    if out is not None:
        write_table(audited.summary, out)


def _from_file(app: App, chain: tuple[str, ...], arguments: Any) -> None:
    """Fill options that the command line does not give from the ``--config`` file."""
    by_name = {argument.name: argument for argument in arguments}
    if not by_name["--config"].tokens:
        return
    path = Path(by_name["--config"].tokens[-1].value)
    known = {field.name: by_name["--" + field.name.replace("_", "-")] for field in fields(Options)}
    for name, value in _read(path).items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise UsageError(
                path.name,
                f"option {name}",
                f"one of {', '.join(sorted(known))}",
                f"Did you mean {near[0]}?" if near else "Correct its name.",
            )
        if value is not None and not known[name].tokens:
            known[name].append(Token(keyword=str(name), value=as_text(value), source=path.name))


def _read(path: Path) -> dict[Any, Any]:
    import yaml  # imported here because most commands have no --config

    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(path.name, f"not readable ({error})", "options in YAML", "Check it.") from None
    if not isinstance(loaded, dict):
        raise UsageError(path.name, "not a mapping of options", "option: value", "See --help.")
    return loaded


_run_command.config = (_from_file,)
