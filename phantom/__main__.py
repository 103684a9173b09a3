"""``python -m phantom``: make synthetic Dixon studies with known truth."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from operators.core.command_line import run_command
from phantom.commands import commands
from phantom.options import CohortOptions, StudyOptions, TrainingSetOptions

__all__ = ["main"]

_command = commands("python -m phantom")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(_command, arguments, options=(StudyOptions, TrainingSetOptions, CohortOptions))


if __name__ == "__main__":
    sys.exit(main())
