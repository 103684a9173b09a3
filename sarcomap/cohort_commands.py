"""`sarcomap cohort`: many studies, from their zips to one table. Each subcommand is imported when it is used."""

from __future__ import annotations

from operators.core.command_line import EXIT_CODES, new_app

__all__ = ["COMMANDS", "command"]

_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap cohort run archive -o cohort   every zip in a folder
  sarcomap cohort status cohort           what has become of each study
  sarcomap cohort qc cohort               look at all of them on one page
  sarcomap cohort run archive -o cohort --retry oom --memory-limit 8"""

#: Where each subcommand is, and its line of help, as in `sarcomap.__main__.COMMANDS`.
COMMANDS = {
    "run": ("app.cohort.command:command", "Process many studies: here, on a Dask cluster, or in shards."),
    "status": ("app.cohort.status_command:command", "Show what has become of each study of a cohort."),
    "collect": ("analysis.commands:collect_command", "Collect the reports of many studies into one table."),
    "qc": ("analysis.quality.command:command", "Make one page to look at every study, and accept or reject it."),
    "export": (
        "analysis.genetics.command:command",
        "Write traits and covariates for regenie, PLINK 2, BOLT or fastGWA.",
    ),
    "reference": ("analysis.reference_command:command", "Make reference percentiles by sex and age."),
    "bids": ("app.cohort.bids_command:command", "Copy images and labels to NIfTI, as a BIDS derivative."),
}

command = new_app("cohort", "Process many studies and look after their results.", _EXAMPLES)
for _name, (_home, _help) in COMMANDS.items():
    command.command(_home, name=_name, help=_help)
