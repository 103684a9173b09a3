"""Appearance and exit codes of the analysis's command line.

This is a short form of `operators.core.command_line`, because the analysis can be
used without the imaging code. The ``sarcomap`` command uses the long form instead.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError

from analysis.errors import AnalysisError, OptionError
from analysis.help_format import TwoColumns

__all__ = ["EXIT_CODES", "new_app", "run_command"]

EXIT_CODES = "Exit codes: 0 done, 2 usage, 3 a table cannot be used, 5 could not write"


def new_app(name: str, help_text: str, epilogue: str = "") -> App:
    """A command line with plain help that leaves its errors to `run_command`."""
    return App(
        name=name,
        help=help_text,
        help_epilogue=epilogue,
        help_format="plaintext",
        help_formatter=TwoColumns(),
        version_flags=[],
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
    )


def run_command(app: App, arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Usage errors are printed on two lines, others on one."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words)
    except CycloptsError as error:
        place = " ".join((*app.name, *(error.command_chain or ())))
        said = " ".join(str(error).split())
        if isinstance(error, MissingArgumentError) and error.argument is not None and not error.tokens_so_far:
            name = max(error.argument.names, key=len)
            near = difflib.get_close_matches(name, [word for word in words if word.startswith("-") and word != name])
            said = f"{name} is missing" + (f"; is {near[0]} meant for it?" if near else ", or has no value.")
        print(f"error: {said}\nSee `{place} --help`.", file=sys.stderr)
        return 2
    except AnalysisError as error:
        text = " ".join(str(error).split())
        if isinstance(error, OptionError):  # the library names the field; the user knows the flag
            text = text.replace(error.field, "--" + error.field.replace("_", "-"), 1)
        print(f"error: {text}", file=sys.stderr)
        return error.exit_code
    return 0
