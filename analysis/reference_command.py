"""``sarcomap cohort reference``: reference percentiles of a cohort, for the reports of other studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from analysis.command_line import EXIT_CODES, new_app
from analysis.errors import DataError
from analysis.files import check_output, check_table

__all__ = ["command"]

_HELP = """\
Make a table of reference percentiles by sex, age and height from a cohort.

`sarcomap run --reference FILE` then shows where a study lies among people of the same sex and age, and of the same \
height where both know it. Everybody whose sex, age and phenotype are known counts; nothing else is asked of the \
participants' table."""
_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap cohort reference cohort/phenotypes.parquet --participants ukb.csv
      --source "UK Biobank, imaging visit, 2014 to 2023" --out reference.csv"""

command = new_app("reference", _HELP, _EXAMPLES)


@command.default
def _reference(
    phenotypes: Annotated[Path, Parameter(name="PHENOTYPES", help="Table of `sarcomap cohort run` or `collect`.")],
    /,
    *,
    participants: Annotated[
        Path,
        Parameter(
            metavar="FILE", help="Table with eid, sex, age and perhaps height, in plain columns or those of UK Biobank."
        ),
    ],
    out: Annotated[Path, Parameter(metavar="FILE", help="Table to write: .csv, .tsv or .parquet.")],
    source: Annotated[
        str, Parameter(metavar="TEXT", help="What the people are, for the reports that show these percentiles.")
    ],
    visit: Annotated[
        str | None, Parameter(metavar="VISIT", help="The visit to use, where participants have several.")
    ] = None,
    exclude: Annotated[
        Path | None, Parameter(metavar="FILE", help="Studies to leave out, as saved on the page of `cohort qc`.")
    ] = None,
    fields: Annotated[Path | None, Parameter(metavar="FILE", help="Your own map of its columns (YAML).")] = None,
) -> None:
    check_table(phenotypes)
    check_table(participants)
    check_output(out, table=True)
    if not source.strip():
        raise DataError("--source", "empty", "a sentence on who the people are", "Reports repeat it.")
    from analysis.people_with_images import people_with_images
    from analysis.reference import reference_table
    from analysis.tables import write_table

    people = people_with_images(phenotypes, participants, fields=fields, visit=visit, exclude=exclude)
    table = reference_table(people.table, source.strip(), synthetic=people.synthetic)
    write_table(table, out)
    for sex, name in (("F", "women"), ("M", "men")):
        of_sex = table[table["sex"] == sex]
        if of_sex.empty:
            print(f"note: no phenotype has enough {name}; reports of {name} show no percentiles.")
        else:
            count, ages = of_sex["phenotype"].nunique(), of_sex["age"]
            taller = ", also by height" if of_sex["height_cm"].notna().any() else "; heights are not known"
            print(f"{name}: {count} phenotypes, ages {ages.min()} to {ages.max()}{taller}")
    print(f"written to {out}")
