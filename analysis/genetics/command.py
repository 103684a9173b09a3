"""``sarcomap cohort export``: files for genome-wide association studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from analysis.command_line import EXIT_CODES, new_app
from analysis.errors import DataError, UsageError
from analysis.files import check_output, check_table
from analysis.genetics.options import ExportOptions

__all__ = ["command"]

_HELP = """\
Write traits and covariates for a genome-wide association study.

Traits of a network that was trained on synthetic data are refused unless --force is given."""
_EXAMPLES = f"""\
Output:
  DIR/traits.txt       identifiers and values as the tool reads them
  DIR/covariates*.txt  age, age2, sex, age x sex, height, imaging year, centre
  DIR/traits.csv       each trait's title, unit, transform, number and model
  DIR/export.json      inputs, options, who was left out, example command

{EXIT_CODES}

Examples:
  sarcomap cohort export cohort --for regenie -o gwas --participants ukb.csv
  sarcomap cohort export cohort --for bolt -o gwas --rank-normal sample"""

command = new_app("export", _HELP, _EXAMPLES)


@command.default
def _export(
    table: Annotated[
        Path, Parameter(name="TABLE", help="Table of phenotypes, or the output of `sarcomap cohort run` that has one.")
    ],
    /,
    *,
    options: Annotated[ExportOptions, Parameter(name="*")],
) -> None:
    phenotypes = table / "phenotypes.parquet" if table.is_dir() else table
    if table.is_dir() and not phenotypes.is_file():
        raise DataError(
            table.name,
            "no phenotypes.parquet in it",
            "the output of `sarcomap cohort run`",
            "Make it with `sarcomap cohort collect`.",
        )
    check_table(phenotypes)
    for name, path in options.files().items():
        if not path.is_file():
            raise UsageError(path.name, "no such file", "a file", f"Check --{name}.")
    check_output(options.out)

    from analysis.genetics.export import export

    exported = export(phenotypes, options)
    for reason, left in exported.flow:
        print(f"  {left:8,d}  {'' if reason.startswith('in the') else 'after leaving out: '}{reason}")
    for name, reason in exported.covariates_left_out.items():
        print(f"  covariate {name} is not written: {reason}")
    print(f"{len(exported.traits.columns)} traits of {len(exported.traits):,} participants in {options.out}")
