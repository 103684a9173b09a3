"""The ``sarcomap`` command. Each subcommand is imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from cyclopts import App

from app.interrupt import clean_up_when_interrupted, let_interruption_finish
from app.study_command import StudyCommand
from operators.core.command_line import EXIT_CODES, new_app, report_error, run_command
from operators.core.options import RunOptions

__all__ = ["COMMANDS", "command_line", "main"]

_HELP = "Muscle phenotypes from neck-to-knee Dixon MRI."
_EXAMPLES = f"""\
Start here:
  sarcomap doctor                       what works on this machine
  sarcomap demo                         a synthetic participant, DICOM to report
  sarcomap run study.zip -o out         one study: a zip or a folder of DICOM
  sarcomap cohort run archive -o cohort many studies, and their table
  sarcomap COMMAND --help               all options of a command

{EXIT_CODES}"""

#: Each subcommand is imported when it is used. Its line of help is kept here, so that `sarcomap --help` imports none.
COMMANDS = {
    "run": ("sarcomap.run_command:command", "Process one study or a few."),
    "measure": ("sarcomap.measure_command:command", "Measure a finished study again, after its labels were edited."),
    "compare": ("sarcomap.compare_command:command", "Show the change between two reports of one person."),
    "cohort": ("sarcomap.cohort_commands:command", "Process many studies, resume, and collect their results."),
    "phantom": ("phantom.commands:command", "Make synthetic studies, training sets and cohorts."),
    "analysis": ("analysis.commands:command", "Analyse a cohort's tables, collect reports, check a published table."),
    "serve": ("app.serve.command:command", "Process studies as they arrive, by DICOM or in a folder."),
    "bundle": ("sarcomap.bundle_commands:command", "List training data, release trained weights, check a bundle."),
    "doctor": ("sarcomap.doctor:command", "Show what works on this machine."),
    "demo": ("sarcomap.demo:command", "Make a synthetic participant and process it, from DICOM to report."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = command_line(words[:1])
    except ImportError as error:  # the subcommand's own packages are missing
        return report_error(error)
    return run_command(command, words, options=(RunOptions, StudyCommand), before_error=let_interruption_finish)


def command_line(asked_for: Sequence[str] = ()) -> App:
    """The whole command line; only subcommands that are asked for are imported."""
    command = new_app("sarcomap", _HELP, _EXAMPLES)
    command.version_flags = ("--version",)
    command.version = _version
    for name, (home, help_text) in COMMANDS.items():
        if name in asked_for:
            module, _, attribute = home.partition(":")
            command.command(getattr(import_module(module), attribute), name=name)
        else:
            command.command(home, name=name, help=help_text)
    return command


def entry() -> None:
    """Entry point of the installed command."""
    clean_up_when_interrupted()
    sys.exit(main())


def _version() -> str:
    from operators.core.software import software_version

    return f"sarcomap {software_version()}"


if __name__ == "__main__":
    entry()
