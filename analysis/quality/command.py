"""``sarcomap cohort qc``: the page of a cohort's quality."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from analysis.command_line import EXIT_CODES, new_app
from analysis.errors import DataError, UsageError
from analysis.files import check_output, check_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]

_HELP = """\
Make one page to look at every study of a cohort, and to accept or reject it.

The page shows a picture of each study, its flags, the distributions of the main phenotypes, and what is unusual: \
robust z scores within sex, the ratio of left to right, and seams. It opens offline. Keys accept and reject studies; \
what was decided is saved as a CSV, which `sarcomap analysis run --exclude` takes."""
_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap cohort qc cohort --participants participants.csv
  sarcomap analysis run ... --exclude quality_decisions.csv"""

command = new_app("qc", _HELP, _EXAMPLES)


@command.default
def _quality(
    cohort: Annotated[Path, Parameter(name="OUT", help="The output of `sarcomap cohort run`, or a folder of studies.")],
    /,
    *,
    participants: Annotated[
        Path | None, Parameter(metavar="FILE", help="Table with the sex of each participant, to compare within sex.")
    ] = None,
    fields: Annotated[Path | None, Parameter(metavar="FILE", help="Your own map of its columns (YAML).")] = None,
    out: Annotated[
        Path | None,
        Parameter(
            metavar="FILE", help="Page to write. It shows the pictures in OUT: move both or none. Default: OUT/qc.html."
        ),
    ] = None,
) -> None:
    if not cohort.is_dir():
        raise DataError(cohort.name, "no such folder", "the output of `sarcomap cohort run`", "Check the path.")
    if participants is not None:
        check_table(participants)
    page = cohort / "qc.html" if out is None else out
    if page.suffix != ".html":
        raise UsageError(page.name, f"ending {page.suffix or 'nothing'}", ".html", "Rename it.")
    check_output(page.parent)

    from tqdm import tqdm

    with tqdm(unit="report", disable=not sys.stderr.isatty()) as bar:
        from analysis.collect import collect_reports
        from analysis.participants import sex_of
        from analysis.quality.page import quality_page

        collected = collect_reports(cohort, lambda done, total: bar.update(done - bar.n) and None)
        sex = None if participants is None else sex_of(collected.table["eid"], participants, fields)
    extremes = quality_page(collected, cohort, page, sex, _failures(cohort / "failures.csv"))
    count, unusual = len(collected.table), int(extremes.outlier.sum())
    print(f"{count} {'study' if count == 1 else 'studies'}, outliers: {unusual}. Page: {page.absolute()}")
    if page.resolve().parent != cohort.resolve():
        print(f"The page shows the pictures in {cohort.absolute()}: move both or none.")


def _failures(path: Path) -> pd.DataFrame | None:
    """A cohort run's table of studies that are not done; None if there is none."""
    import pandas as pd

    if not path.is_file():
        return None
    try:
        failures = pd.read_csv(path, dtype="string")
        return failures[["outcome", "found"]]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            path.name, f"not readable ({type(error).__name__})", "as a cohort run wrote it", "Remove it, or run again."
        ) from None
