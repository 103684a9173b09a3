"""``sarcomap cohort run`` and ``python -m app.cohort``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from app.cohort.options import CohortOptions
from app.study_command import GeneralOptions, refuse_early, set_up_logging
from operators.core.command_line import new_app
from operators.core.errors import UsageError
from operators.core.options import RunOptions
from operators.core.options.declaration import Flag, TogetherWith, section

__all__ = ["command", "new_command"]

_HELP = """\
Process many studies: here, on a Dask cluster, or in shards.

Run the same command again to go on: what is done is not done again. Each study ends as done, refused, failed, oom \
(out of memory) or timeout, which OUT/ledger records, and none stops the others."""
_EXAMPLES = """\
Exit codes:
  0 every study has its outcome, at least one is done
  3 all were refused   1 none is done   75 stopped at --walltime
  2 usage   5 could not write, or a done study is not in the table
  130, 143 interrupted: what is done is kept

Examples:
  sarcomap cohort run archive -o cohort
  sarcomap cohort run "archive/*/*_20201_*.zip" -o cohort --keep minimal
  sarcomap cohort run manifest.csv -o cohort --scheduler tcp://head:8786
  sarcomap cohort run s3://bucket/bulk -o cohort --shard 3/100
  sarcomap cohort run archive -o cohort --retry oom --memory-limit 8"""

_FILES = Parameter(group=section("Input and output", -10))


def new_command(name: str) -> App:
    """The command, under the name that it is started with."""
    made = new_app(name, _HELP, _EXAMPLES)
    made.default(_run)
    return made


def _run(
    inputs: Annotated[
        tuple[str, ...],
        Parameter(
            name="INPUT",
            negative="",
            show_default=False,
            help="Zips, folders of zips or of DICOM, patterns, URLs, or a manifest: a .csv, .tsv or .parquet with the "
            "columns path and, if known, eid, visit and key.",
        ),
        _FILES,
    ] = (),
    /,
    *,
    more: Annotated[
        tuple[str, ...],
        Parameter(name=("-i", "--input"), negative="", show_default=False, help="The same as INPUT. Repeatable."),
        _FILES,
    ] = (),
    output: Annotated[Path, Parameter(name=("-o", "--output"), metavar="OUT", help="The cohort's folder."), _FILES],
    fuse_only: Annotated[bool, Flag, Parameter(help="Write the fused volumes only."), _FILES] = False,
    cohort: Annotated[CohortOptions, TogetherWith] = CohortOptions(),  # noqa: B008 (frozen)
    how: Annotated[GeneralOptions, TogetherWith] = GeneralOptions(),  # noqa: B008 (frozen)
    options: Annotated[RunOptions, TogetherWith] = RunOptions(),  # noqa: B008 (frozen)
) -> int:
    set_up_logging(how.log_level)
    given = (*inputs, *more)
    if not given:
        raise UsageError("sarcomap cohort run", "no study given", "a folder, a pattern or a manifest", "See `--help`.")
    refuse_early(options, how)
    from app.cohort.run import run_cohort

    result = run_cohort(given, output, options, cohort, model=how.model, fuse_only=fuse_only, quiet=how.quiet)
    if not how.quiet:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in result.counts.items() if number) or "none"
        left = f", {result.left} left to process" if result.left else ""
        print(f"{counts}{left}; see `sarcomap cohort status {output}`")
    return result.exit_code


command = new_command("run")
