"""``sarcomap cohort bids``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from operators.core.command_line import EXIT_CODES, new_app
from operators.core.errors import InputError

__all__ = ["command"]

_HELP = """\
Copy images and labels to NIfTI, in the layout of a BIDS derivative.

Labels of every study are copied, and the fused images if the cohort kept them. The cohort's folder is not changed."""
_EXAMPLES = f"""\
{EXIT_CODES}

Example:
  sarcomap cohort bids cohort -o derivatives/sarcomap"""

command = new_app("bids", _HELP, _EXAMPLES)


@command.default
def _bids(
    cohort: Annotated[Path, Parameter(name="OUT", help="The cohort's folder.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=("-o", "--out"), metavar="DIR", help="Folder to write into.")],
) -> None:
    if not cohort.is_dir():
        raise InputError(str(cohort), "no such folder", "the OUT of `sarcomap cohort run`", "Check the path.")

    from tqdm import tqdm

    from app.cohort.bids import write_bids
    from app.cohort.progress import counted_studies

    with tqdm(unit="study", disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        count = write_bids(cohort, out, progress)
    print(f"{counted_studies(count)} in {out}")
